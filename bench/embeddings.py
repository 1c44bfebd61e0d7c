"""How well do the vectors of the built-in model find a text? `python -m bench.embeddings`, half a minute.

A question about a film is to find the film's plot among others (DuoRC, as recorded in `data/prompts`), and the second
half of a plot its first half. Beside it stands plain counting of words (TF-IDF): what costs nothing.
"""

import gzip
import http.client
import json
import math
import os
import re
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from entrepot.upstream import local

SHARED = Path(os.environ.get("SHARED", Path(__file__).parents[2] / "shared"))
TEXTS = SHARED / "data" / "prompts" / "app_rag_answers.jsonl.gz"
LETTERS = 250  # of a half
COUNT = 24
Likeness = Callable[[str, str], float]


def pairs(count: int) -> list[tuple[str, str, str]]:
    """(question, first half, second half) of so many films."""
    found = []
    with gzip.open(TEXTS) as file:
        for line in file:
            text = json.loads(line)["messages"][-1]["content"]
            question = re.search(r"[Qq]uestion: *(.+)", text)
            plot = max(text.split("\n"), key=len).partition(": ")[2]
            if question and len(plot) >= 2 * LETTERS:
                found.append((question[1], plot[:LETTERS], plot[LETTERS : 2 * LETTERS]))
    return found[:count]


def hits(queries: Sequence[str], texts: Sequence[str], like: Likeness, within: int) -> float:
    """Share of the queries whose own text is among the `within` most alike."""
    found = 0
    for number, query in enumerate(queries):
        order = sorted(range(len(texts)), key=lambda i: -like(query, texts[i]))
        found += number in order[:within]
    return found / len(queries)


def by_vectors(vectors: dict[str, list[float]]) -> Likeness:
    return lambda a, b: math.fsum(x * y for x, y in zip(vectors[a], vectors[b], strict=True))


def by_words(texts: Sequence[str]) -> Likeness:
    """Cosine of TF-IDF."""
    counted = {text: Counter(re.findall(r"[a-z']+", text.lower())) for text in texts}
    seen = Counter(word for words in counted.values() for word in words)
    weigh = {word: math.log(len(counted) / n) for word, n in seen.items()}
    made = {text: {word: n * weigh[word] for word, n in words.items()} for text, words in counted.items()}
    size = {text: math.sqrt(sum(x * x for x in words.values())) or 1.0 for text, words in made.items()}

    def like(a: str, b: str) -> float:
        return sum(x * made[b].get(word, 0.0) for word, x in made[a].items()) / size[a] / size[b]

    return like


class _Line(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))


def embed(path: Path, texts: Sequence[str]) -> tuple[dict[str, list[float]], int]:
    """Vector of each text, and the tokens of all."""
    vectors, tokens = {}, 0
    for text in texts:
        line = _Line(path)
        body = json.dumps({"model": local.MODEL, "input": text})
        line.request("POST", "/v1/embeddings", body, {"Content-Type": "application/json"})
        answer: dict[str, Any] = json.loads(line.getresponse().read())
        line.close()
        vectors[text] = answer["data"][0]["embedding"]
        tokens += answer["usage"]["prompt_tokens"]
    return vectors, tokens


def main() -> None:
    if not TEXTS.exists() or (file := local.model_file()) is None:
        sys.exit(f"needs {TEXTS} and the built-in model")
    chosen = pairs(COUNT)
    questions, first, second = ([each[i] for each in chosen] for i in range(3))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "engine.sock"
        kept = os.dup(1)  # the engine gets nowhere to write to
        engine = local._start(file, path)
        os.dup2(kept, 1)
        began = time.process_time()
        vectors, tokens = embed(path, [*questions, *first, *second])
        seconds = time.process_time() - began
    print(f"{len(chosen)} films; {tokens:,} tokens in {seconds:.0f} s of CPU, {tokens / seconds:,.0f} a second")
    print(f"{'':<38} {'vectors':>8} {'words':>8} {'chance':>8}")
    for name, queries, texts in (
        ("question finds plot", questions, first), ("second half finds first half", second, first),
    ):  # fmt: skip
        words = by_words([*queries, *texts])
        for within in (1, 10):
            found = hits(queries, texts, by_vectors(vectors), within), hits(queries, texts, words, within)
            shown = " ".join(f"{share:>8.0%}" for share in (*found, within / len(texts)))
            print(f"{f'{name}, first {within}':<38} {shown}")
    sys.stdout.flush()
    del engine
    os._exit(0)  # its threads have no bound


if __name__ == "__main__":
    main()
