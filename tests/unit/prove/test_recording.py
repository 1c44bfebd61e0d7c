"""Recorded traces: which are known, what is read of them, and what is said of damaged ones."""

import gzip
from pathlib import Path

import pytest

from entrepot.prove.recording import Entry, TraceBroken, read_recording
from shared_data import SHARED

AZURE = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:15:46.6805900,374,44
2023-11-16 18:15:50.9951690,396,109
2023-11-16 18:15:51.2224670,879,55
"""
TRACES = SHARED / "data" / "traces"


def _file(tmp_path: Path, data: str | bytes, name: str = "trace.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def _refused(path: Path) -> str:
    with pytest.raises(TraceBroken) as caught:
        read_recording(path)
    return caught.value.message


def test_azures_ticks_become_microseconds_since_the_first_call(tmp_path: Path) -> None:
    found = read_recording(_file(tmp_path, AZURE))
    assert (found.kind, found.timed) == ("Azure", True)
    assert found.entries == [
        Entry(0, 374, 0, 44, None), Entry(4_314_579, 396, 0, 109, None), Entry(4_541_877, 879, 0, 55, None)
    ]  # fmt: skip
    assert (found.input, found.output, found.span) == (1649, 208, 4_541_877)
    assert (found.busiest(1_000_000), found.busiest(5_000_000)) == (2, 3)


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_packing_and_line_ends_do_not_matter(tmp_path: Path, end: str) -> None:
    text = AZURE.replace("\n", end) if end else AZURE.rstrip()
    plain = read_recording(_file(tmp_path, text))
    packed = read_recording(_file(tmp_path, gzip.compress(text.encode()), "no-ending-that-says-so"))
    assert plain.entries == packed.entries
    assert len(plain.entries) == 3


def test_a_leading_run_of_known_blocks_was_in_the_cache(tmp_path: Path) -> None:
    lines = (
        '{"timestamp": 0, "input_length": 1500, "output_length": 5, "hash_ids": [0, 1, 2]}\n'
        '{"timestamp": 250, "input_length": 1100, "output_length": 6, "hash_ids": [0, 1, 9]}\n'
        '{"timestamp": 250, "input_length": 600, "output_length": 7, "hash_ids": [7, 0, 1]}\n'
        '{"timestamp": 300, "input_length": 900, "output_length": 0, "hash_ids": [0, 1]}\n'
    )
    found = read_recording(_file(tmp_path, lines, "m.jsonl"))
    assert found.kind == "Mooncake"
    assert [(e.at, e.cached) for e in found.entries] == [(0, 0), (250_000, 1024), (250_000, 0), (300_000, 900)]


def test_sessions_run_side_by_side_and_say_how_they_were_asked(tmp_path: Path) -> None:
    text = (
        "session,t_s,stream,input_tokens,cached_input_tokens,output_tokens\n"
        "1,0.0,0,100,0,5\n1,7.5,1,200,64,6\n2,0.0,1,50,,7\n"
    )
    found = read_recording(_file(tmp_path, text))
    assert found.entries == [
        Entry(0, 100, 0, 5, False), Entry(0, 50, 0, 7, True), Entry(7_500_000, 200, 64, 6, True)
    ]  # fmt: skip


def test_usage_without_times_is_a_trace_too(tmp_path: Path) -> None:
    found = read_recording(_file(tmp_path, "model,prompt_tokens,completion_tokens\nm,10,2\nm,11,3\n"))
    assert (found.timed, found.input, found.output) == (False, 21, 5)


def test_a_part_is_the_first_calls(tmp_path: Path) -> None:
    assert len(read_recording(_file(tmp_path, AZURE), limit=2).entries) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (AZURE.replace("396", "-396"), "trace.csv, line 3: ContextTokens is '-396', not a whole number from 0 on"),
        (AZURE.replace("396", "1e9"), "trace.csv, line 3: ContextTokens is '1e9', not a whole number"),
        (AZURE.replace("396", "99999999"), "line 3: ContextTokens is 99,999,999; no call has more than"),
        (AZURE.replace("109", "a\x1b[2Jb"), "GeneratedTokens is 'a\\\\x1b[2Jb', not a whole number"),
        (AZURE.replace("18:15:50", "25:15:50"), "line 3: TIMESTAMP is '2023-11-16 25:15:50.9951690', not like 2023-"),
        (AZURE.replace(",396,109", ",396"), "trace.csv, line 3: 2 values where the header names 3"),
        (AZURE.replace(",396", ',"396'), "trace.csv, line "),
        ("a,b\n1,2\n", "trace.csv is no trace that is known here: its columns are a, b; known are TIMESTAMP"),
        ("client_id,window_start_s,rate_rps\n1,0,2\n", "holds rates of many clients, not calls"),
        ("", "trace.csv holds no call"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n", "trace.csv holds no call"),
        ("\ufeffx\n1\n", "its columns are x; known"),
        ("x", "trace.csv is no trace that is known here: its columns are x"),
        ('{"timestamp": 0, "input_length": 5\n', "trace.csv, line 1: '{\"timestamp\": 0, \"input_length\": 5' is not"),
        ('{"timestamp": -1, "input_length": 5, "output_length": 1}', "line 1: timestamp is '-1', not a whole number"),
        ('{"timestamp": 0, "input_length": true, "output_length": 1}', "input_length is 'True', not a whole number"),
        ("t_s,input_tokens,output_tokens\nnan,1,1\n", "line 2: t_s is 'nan', not seconds"),
        ("t_s,input_tokens,cached_input_tokens,output_tokens\n0,5,6,1\n", "cached_input_tokens is 6, more than the 5"),
        (b"TIMESTAMP,ContextTokens,Generated\xff\n", "trace.csv is not text behind line 0: byte 0xff"),
    ],
)
def test_damage_is_said_with_its_line_and_value(tmp_path: Path, text: str | bytes, said: str) -> None:
    assert said in _refused(_file(tmp_path, text))


def test_a_cut_or_damaged_package_is_said_so(tmp_path: Path) -> None:
    whole = gzip.compress((AZURE + "".join(f"2023-11-16 19:00:{i % 60:02}.0,{i},{i}\n" for i in range(9000))).encode())
    assert "its gzip data ends too early; get the file again" in _refused(_file(tmp_path, whole[: len(whole) // 2]))
    assert "has a wrong checksum" in _refused(_file(tmp_path, whole[:-8] + b"\0" * 8))
    assert "gzip data is broken" in _refused(_file(tmp_path, whole[:3000] + b"\xff" * 40 + whole[3040:]))
    assert "gzip data" in _refused(_file(tmp_path, b"\x1f\x8b"))
    assert "cannot be read: No such file" in _refused(tmp_path / "absent.csv")
    assert "cannot be read: Is a directory" in _refused(tmp_path)


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "calls", "given", "cached", "written"),
    [
        ("azure_llm_2023_conv.csv.gz", 19_366, 22_361_870, 0, 4_088_665),
        ("azure_llm_2023_code.csv.gz", 8_819, 18_059_974, 0, 245_896),
        ("mooncake_conversation.jsonl.gz", 12_031, 144_793_823, 54_098_411, 4_122_048),
        ("agentic_coding_sessions.csv.gz", 20_776, 2_577_929_761, 2_465_920_256, 9_165_633),
        ("openai_batch_judge_usage.csv.gz", 4_089, 7_217_711, 0, 953_492),
    ],
)
def test_published_traces_are_read_whole(name: str, calls: int, given: int, cached: int, written: int) -> None:
    if not (TRACES / name).exists():
        pytest.skip(f"{TRACES / name} is missing")
    found = read_recording(TRACES / name)
    assert (len(found.entries), found.input, found.cached, found.output) == (calls, given, cached, written)
    assert all(a.at <= b.at for a, b in zip(found.entries, found.entries[1:], strict=False))
