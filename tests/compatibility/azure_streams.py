"""Rows about what Azure adds to answers: 46, 47, 48."""

import json

from compatibility.headers import chat
from compatibility.streams import CLOSING, DONE, USAGE, WANTED, delta, event, recorded
from compatibility.table import played, row
from tape_house import AZURE_CHAT, CHAT, TapeHouse

SAFE = {"hate": {"filtered": False, "severity": "safe"}, "jailbreak": {"filtered": False, "detected": False}}
PROMPT = [{"prompt_index": 0, "content_filter_results": SAFE}]
OPENING = "data: " + json.dumps({
    "choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": PROMPT,
}) + "\n\n"  # fmt: skip
ANNOTATED = played(
    "annotated", OPENING, event([{**delta(role="assistant", content=""), "content_filter_results": {}}]),
    event([{**delta(content="quay"), "content_filter_results": SAFE}]), *CLOSING, stream=True,
)  # fmt: skip
OFFSETS = {"check_offset": 44, "start_offset": 44, "end_offset": 198}
LATER = played(
    "later", OPENING, event([delta(role="assistant", content="quay")]),
    event([{**delta(), "content_filter_results": SAFE, "content_filter_offsets": OFFSETS}]),
    event([{**delta(finish="content_filter"), "content_filter_results": SAFE, "content_filter_offsets": OFFSETS}]),
    event([], USAGE), DONE, stream=True,
)  # fmt: skip
WHOLE = played("annotated-whole", json.dumps({
    "id": "chatcmpl-9", "object": "chat.completion", "created": 1_700_000_000, "model": "gpt-5.2-2025-12-11",
    "prompt_filter_results": PROMPT, "usage": USAGE,
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop",
                 "content_filter_results": SAFE}],
}))  # fmt: skip
BOTH = (CHAT, AZURE_CHAT)


@row(46, "a stream that begins with `choices: []` and `prompt_filter_results`", "passed on first, byte for byte")
def opening(house: TapeHouse) -> None:
    for path in BOTH:
        assert chat(house, path, user=ANNOTATED, **WANTED).body == recorded(ANNOTATED).encode()
        bare = chat(house, path, user=ANNOTATED, stream=True)
        assert bare.body.startswith(OPENING.encode())
        assert house.ending(bare).quantities[:4] == (9, 0, 0, 4)


@row(47, "choices with `content_filter_results`, whole and streamed", "unchanged")
def annotated(house: TapeHouse) -> None:
    for path in BOTH:
        assert chat(house, path, user=WHOLE).body == recorded(WHOLE).encode()
        events = [json.loads(one) for one in chat(house, path, user=ANNOTATED, stream=True).events[:-1]]
        assert events[2]["choices"][0]["content_filter_results"] == SAFE


@row(48, "later annotations with `content_filter_offsets`, the end `content_filter`", "unchanged; metered")
def later(house: TapeHouse) -> None:
    for path in BOTH:
        reply = chat(house, path, user=LATER, **WANTED)
        assert reply.body == recorded(LATER).encode()
        assert house.ending(reply).quantities[:4] == (9, 0, 0, 4)
