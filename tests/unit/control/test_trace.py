"""A request is found in the journal by its id, wherever its records lie."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from entrepot.control import trace
from entrepot.control.story import tell
from entrepot.journal.files import scan, stream_directory
from entrepot.metering.record import Ending, Intent, Kind, from_bytes
from worker import Worker


@pytest.fixture
def stream(tmp_path: Path) -> tuple[Path, list[str]]:
    """Many calls over several segments; the first one ends last. Their ids in order."""
    requests: list[str] = []

    async def go() -> None:
        worker = Worker(tmp_path, segment_bytes=24 * 1024)
        worker.grant("demo", 10**9)
        first = worker.begin()
        for n in range(120):
            worker.call((n, n))
            await worker.durable()
        worker.end(first)
        await worker.durable()
        worker.close()

    asyncio.run(go())
    directory = stream_directory(tmp_path, 1, 1)
    for entry in scan(tmp_path, 1, 1):
        if entry.record[0] == Kind.INTENT:
            record = from_bytes(entry.record)
            assert isinstance(record, Intent)
            requests.append(record.request)
    assert len(list(directory.glob("*.seg"))) >= 3
    return tmp_path, requests


def test_every_request_is_found_with_both_records(stream: tuple[Path, list[str]]) -> None:
    root, requests = stream
    for request in (requests[0], requests[1], requests[60], requests[-1]):
        found = list(trace.in_journal(root, stream_directory(root, 1, 1), request))
        assert [type(each.record) for each in found] == [Intent, Ending]
        facts = tell(request, found)
        assert facts is not None
        assert facts["state"] == "final"


def test_a_request_that_spans_segments_has_two_places(stream: tuple[Path, list[str]]) -> None:
    root, requests = stream
    opened, ended = trace.in_journal(root, stream_directory(root, 1, 1), requests[0])
    assert opened.place is not None
    assert ended.place is not None
    assert opened.place.segment < ended.place.segment


def test_segments_written_before_the_request_are_passed_over(
    stream: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, requests = stream
    directory = stream_directory(root, 1, 1)
    later = max(path.stat().st_mtime_ns for path in directory.glob("*.seg")) // 1000 + 1
    opened: list[Any] = []
    monkeypatch.setattr(trace, "_holds", lambda path, _: bool(opened.append(path)))
    assert list(trace.in_journal(root, directory, requests[0], later)) == []
    assert opened == []


def test_an_unknown_request_and_an_unknown_stream_find_nothing(stream: tuple[Path, list[str]]) -> None:
    root, _ = stream
    for epoch in (1, 9):
        assert list(trace.in_journal(root, stream_directory(root, 1, epoch), "req_none")) == []
