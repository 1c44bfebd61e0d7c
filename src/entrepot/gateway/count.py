"""Counting tokens where the vendor said nothing: never in the loop, never without a bound.

A charge needs a real count (bpe-openai, o200k). Where nothing is charged and only our own cost is guessed, four bytes a
token do (OpenAI's rule of thumb for English text, help centre, "What are tokens").
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import msgspec

from entrepot.wire.openai import TOKENS_PER_MESSAGE, Call

BYTES_PER_TOKEN = 4
_TOKENS_PER_MESSAGE = 4  # role and separators (OpenAI cookbook, "How to count tokens": 3 and 1 for a name)
_WAITING_LIMIT = 256

_log = logging.getLogger(__name__)


class _Message(msgspec.Struct):
    content: object = None


class _Choice(msgspec.Struct):
    message: _Message | None = None
    text: object = None


class _Texts(msgspec.Struct):
    """Of a request or an answer: what may hold text."""

    messages: list[_Message] = []
    prompt: object = None
    input: object = None
    choices: list[_Choice] = []


class Counter:
    """One thread that counts; more than 256 waiting calls are guessed instead."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="count")
        self._waiting = 0

    def count(self, texts: tuple[bytes, ...], counted: Callable[[list[int]], None]) -> None:
        """Tokens of each body, told in the loop."""
        if self._waiting >= _WAITING_LIMIT:
            self._loop.call_soon(counted, [guess(len(text)) for text in texts])
            return
        self._waiting += 1

        def work() -> None:
            found = [guess(len(text)) for text in texts]
            try:
                found = [count_body(text) for text in texts]
            except BaseException:  # noqa: BLE001 the owner of the count: whatever went wrong, its call has to end
                _log.exception("an answer could not be counted, so it is guessed")
            finally:
                self._loop.call_soon_threadsafe(done, found)

        def done(found: list[int]) -> None:
            self._waiting -= 1
            counted(found)

        self._pool.submit(work)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def guess(size: int) -> int:
    """Tokens of `size` bytes of text, roughly."""
    return -(-size // BYTES_PER_TOKEN)


def guess_prompt(call: Call) -> int:
    """Tokens of a prompt for rates: its text by size, its media by their bound; at least 1."""
    media = call.input_bound - call.text_bytes - TOKENS_PER_MESSAGE * call.messages
    return max(1, guess(call.text_bytes) + media)


def count_body(body: bytes) -> int:
    """Tokens of the text in a request or a unary answer; b"" has none, what cannot be read is guessed."""
    if not body:
        return 0
    import bpe_openai

    try:
        read = msgspec.json.decode(body, type=_Texts)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return guess(len(body))
    messages = read.messages + [c.message for c in read.choices if c.message is not None]
    encoding = bpe_openai.get_encoding("o200k_base")
    given = _TOKENS_PER_MESSAGE * len(read.messages)
    texts = [text for message in messages for text in _texts(message.content)]
    for value in (read.prompt, read.input, *(choice.text for choice in read.choices)):
        texts += _texts(value)
        given += _tokens(value)
    return given + sum(len(encoding.encode_ordinary(text)) for text in texts)


def _texts(content: object) -> list[str]:
    if isinstance(content, str):
        return [content]
    if isinstance(content, list):
        found = [part.get("text") if isinstance(part, dict) else part for part in content]
        return [text for text in found if isinstance(text, str)]
    return []


def _tokens(value: object) -> int:
    """Tokens that came as numbers, as a list or as lists."""
    if not isinstance(value, list):
        return 0
    return sum(_tokens(each) if isinstance(each, list) else isinstance(each, int) for each in value)
