"""A language model that needs no network: the next word by the two before it, counted in the docstrings of this package.

It is there for local runs and tests. What it says is grammar without sense, another each time, about events and cursors.
"""

import ast
import random
import re
import time
from collections import defaultdict
from collections.abc import Generator, Iterator, Sequence
from functools import cache
from pathlib import Path

from realtime.answers import Message, Usage

NAME = "ngram"

PIECES_PER_SECOND = 50.0
"""About what a small hosted model does."""

_TOKEN = re.compile(r"\w+(?:['-]\w+)*|[.,:;?]")
_END = frozenset(".?")


class Ngram:
    """Gives about `max_tokens` words, and ends with a sentence. `pace` is in pieces a second, 0 for as fast as it can."""

    name = NAME

    def __init__(self, pace: float = PIECES_PER_SECOND) -> None:
        self._pace = pace

    def answer(self, messages: Sequence[Message], max_tokens: int) -> Generator[str | Usage]:
        asked = sum(len(_TOKEN.findall(message.text)) for message in messages)
        written, began = 0, time.monotonic()
        for written, word in enumerate(_words(messages[-1].text, max_tokens), 1):
            if self._pace:
                time.sleep(max(0.0, began + written / self._pace - time.monotonic()))
            yield word if written == 1 or word in ".,:;?" else f" {word}"
        yield Usage(asked, written, "max_tokens" if written == max_tokens else "end_turn")


def _words(prompt: str, limit: int) -> Iterator[str]:
    """Words until the limit, or the first end of a sentence in the last tenth before it; begun with a word of the prompt."""
    follows, dice = _follows(), random.Random()  # noqa: S311 - no secret
    starts = [pair for pair in follows if pair[0] == "." and pair[1].lower() in prompt.lower().split()]
    pair = dice.choice(starts or [pair for pair in follows if pair[0] == "."])
    for number in range(1, limit + 1):
        yield pair[1]
        if number > limit * 0.9 and pair[1] in _END:
            return
        pair = pair[1], dice.choice(follows.get(pair) or ["."])


@cache
def _follows() -> dict[tuple[str, str], list[str]]:
    """What comes after two words, as often as it does."""
    found = defaultdict[tuple[str, str], list[str]](list)
    words = [".", *_TOKEN.findall(" ".join(_docstrings())), "."]
    for first, second, third in zip(words, words[1:], words[2:], strict=False):
        found[first, second].append(third)
    return dict(found)


def _docstrings() -> Iterator[str]:
    for file in sorted(Path(__file__).parent.glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and (text := ast.get_docstring(node)):
                yield text
