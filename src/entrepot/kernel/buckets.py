"""Disjoint token buckets: every token of an attempt is in exactly one, so buckets may be added.

A vendor's counts overlap (OpenAI's `prompt_tokens` includes cached and audio tokens, `completion_tokens` includes
reasoning); `wire.usage` takes them apart. A bucket vector is a tuple of eight
non-negative ints in the order of BUCKETS.
"""

from typing import NewType

Quantities = tuple[int, int, int, int, int, int, int, int]
BucketName = NewType("BucketName", str)

BUCKETS: tuple[str, ...] = (
    "input", "cached", "cache_write", "output", "reasoning", "audio_input", "audio_output", "image_input",
)  # fmt: skip
INPUT, CACHED, CACHE_WRITE, OUTPUT, REASONING, AUDIO_INPUT, AUDIO_OUTPUT, IMAGE_INPUT = range(8)
INPUT_SIDE = (INPUT, CACHED, CACHE_WRITE, AUDIO_INPUT, IMAGE_INPUT)
OUTPUT_SIDE = (OUTPUT, REASONING, AUDIO_OUTPUT)
NOTHING: Quantities = (0, 0, 0, 0, 0, 0, 0, 0)
#: A bucket that a book does not name takes the rate of the one it is a part of, where the vendors' own rules say so:
#: reasoning is billed as output (OpenAI usage guide). Every other unnamed bucket is unpriced.
INHERITS = {REASONING: OUTPUT}
