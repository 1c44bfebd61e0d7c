"""What the fake vendor plays back: answers from a file, by name, and an echo of what it was sent.

A call asks for one in its `user` field, which every operation has and no gateway changes: `tape NAME` for an answer of
the file, `tape NAME bytes` or `tape NAME random 7` for the same in single bytes or in pieces cut by that seed, and
`echo` for a chat answer whose text is the request as the vendor read it, in JSON.
"""

import json
import random
from collections.abc import Iterator
from pathlib import Path

import msgspec

from entrepot.prove.answer import Answer, Piece, head, plain

_MOST_PIECE = 900  # bytes of a random piece; below what one read takes, so that reads split anywhere


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the file. `pieces` are texts to write, each with its wait in ms before it; a stream is chunked."""

    name: str
    status: int = 200
    headers: list[tuple[str, str]] = []
    pieces: list[tuple[float, str]]
    stream: bool = False
    prompt: int = 0  # what the vendor's own ledger says of it
    completion: int = 0
    billed: bool = True
    ends: bool = True  # False: the connection is reset after the last piece


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """A request as the vendor read it."""

    method: str
    target: str
    headers: dict[str, str]
    body: str


class Tape:
    """Recorded answers by name. Without a file there is the echo only."""

    def __init__(self, path: Path | None) -> None:
        lines = path.read_bytes().splitlines() if path is not None else []
        played = [msgspec.json.decode(line, type=Recorded) for line in lines]
        self._answers = {one.name: one for one in played}

    def asked(self, body: bytes) -> list[str]:
        """The words of the `user` field if they ask for one of ours; else nothing."""
        if b'"tape ' not in body and b'"echo"' not in body:
            return []
        user = json.loads(body).get("user")
        words = user.split(" ") if isinstance(user, str) else []
        return words if words[:1] in (["tape"], ["echo"]) else []

    def play(self, words: list[str], heard: Heard) -> Answer:
        """Raises KeyError for a name that is not on the tape."""
        if words[0] == "echo":
            return echo(heard)
        one = self._answers[words[1]]
        pieces = [(wait, text.encode()) for wait, text in one.pieces]
        body = b"".join(data for _, data in pieces)
        framing = ("Transfer-Encoding", "chunked") if one.stream else ("Content-Length", str(len(body)))
        opening = head(one.status, "As Recorded", [*one.headers, framing])
        if one.stream:
            written = [(wait, b"%x\r\n%b\r\n" % (len(data), data)) for wait, data in pieces]
            written += [(0.0, b"0\r\n\r\n")] if one.ends else []
        else:
            written = pieces
        cut = cut_anew([(0.0, opening), *written], words[2:])
        return Answer(cut, one.prompt, one.completion, one.billed, "keep" if one.ends else "reset")


def echo(heard: Heard) -> Answer:
    """A chat answer that says what the vendor was sent."""
    text = msgspec.json.encode(heard).decode()
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    fields = {"id": "chatcmpl-echo", "object": "chat.completion", "created": 1_700_000_000, "model": "echo"}
    body = json.dumps({**fields, "choices": [choice], "usage": usage}).encode()
    if not json.loads(heard.body).get("stream"):
        return Answer([(0.0, plain(200, "OK", body))], 1, 1, True, "keep")
    said = {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    fields["object"] = "chat.completion.chunk"
    events = [json.dumps({**fields, "choices": choices, "usage": used}).encode()
              for choices, used in (([said], None), ([], usage))]  # fmt: skip
    stream = b"".join(b"data: %b\n\n" % event for event in [*events, b"[DONE]"])
    return Answer([(0.0, plain(200, "OK", stream, "text/event-stream"))], 1, 1, True, "keep")


def cut_anew(pieces: list[Piece], how: list[str]) -> Iterator[Piece]:
    """The same bytes as they are, one by one, or cut at random places."""
    if not how:
        yield from pieces
        return
    chance = random.Random(int(how[1])) if how[0] == "random" else None
    whole = b"".join(data for _, data in pieces)
    at = 0
    while at < len(whole):
        size = 1 if chance is None else chance.randint(1, _MOST_PIECE)
        yield 0.0, whole[at : at + size]
        at += size
