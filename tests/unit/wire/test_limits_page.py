from pathlib import Path

from entrepot.wire import chunked, fields, governing, http1, json_text, media, openai, prompts, sse, usage

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "wire-limits.md"


def test_the_page_of_limits_names_every_bound():
    text = PAGE.read_text()
    bounds = {
        http1.MAX_HEAD_BYTES: "bytes, 100 lines",
        chunked.MAX_TRAILER_BYTES: "bytes, 100 lines",
        json_text.MAX_DEPTH: "deep",
        json_text.MAX_CONTAINERS: "lists and objects",
        fields.MAX_FIELDS: ", each once",
        governing.MAX_MODEL_LETTERS: "letters",
        governing.MAX_CAP: ", equal",
        governing.MAX_CHOICES: "for each prompt",
        openai.TOKENS_PER_MESSAGE: "a message",
        prompts.MAX_INPUTS: "inputs of one call",
        media.TOKENS_PER_IMAGE: "an image",
        media.AUDIO_BYTES_PER_TOKEN: "bytes of audio",
        sse.MAX_HELD_EVENT: "bytes, then",
        sse.MAX_EVENT_BYTES: "bytes ends",
        usage.MAX_TOKENS: "make",
        usage.MAX_RAW_USAGE: "bytes.",
    }
    assert http1.MAX_HEAD_LINES == chunked.MAX_TRAILER_LINES == 100
    assert [
        f"{bound} {what}" for bound, what in bounds.items() if f"{bound} {what}".replace(" ,", ",") not in text
    ] == []
