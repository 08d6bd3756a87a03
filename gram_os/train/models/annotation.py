"""Texts in which people marked values, and exact-span precision, recall and F1 of a tagger on them.

Two published forms are read. QueryNER: {"tokens": [...], "tags": ["B-color", ...]}. OA-Mine: {"input": title,
"target_scores": {type: {value: 1}}}, without the values' places. Both become one form: places in the text.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gram_os.errors import FileFormatError
from gram_os.text.attribute import OA_MINE_TYPES, QUERYNER_TYPES, Side
from gram_os.text.tagger import Tagger, split_words


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """One marked value: characters `start` to `end`, and its label, a type of the side (`attribute.SIDE_TYPES`)."""

    start: int
    end: int
    label: str


@dataclass(frozen=True, slots=True)
class MarkedText:
    """A text and the values marked in it, in reading order."""

    text: str
    side: Side
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class SpanScore:
    """Exact-span counts of one label or of all (micro); a value is correct when both ends and the label agree."""

    correct: int
    found: int
    marked: int

    @property
    def precision(self) -> float:
        """Share of the found values that are correct; 0 when nothing was found."""
        return self.correct / self.found if self.found else 0.0

    @property
    def recall(self) -> float:
        """Share of the marked values that were found; 0 when nothing is marked."""
        return self.correct / self.marked if self.marked else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, 2 correct / (found + marked).

        >>> SpanScore(correct=2, found=3, marked=5).f1
        0.5
        """
        return 2 * self.correct / (self.found + self.marked) if self.found + self.marked else 0.0


def read_marked(path: Path | str) -> list[MarkedText]:
    """Read every row of a JSONL file in QueryNER's or OA-Mine's form; blank lines are skipped.

    Raises FileFormatError, with the line, for a file that cannot be read, a row in no known form, and a file without
    rows.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise FileFormatError(path, f"cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise FileFormatError(path, f"is not UTF-8 ({error.reason} at byte {error.start})") from error
    rows = [_read_row(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not rows:
        raise FileFormatError(path, 'holds no rows; write one JSON object a line, {"tokens": ..., "tags": ...}')
    return rows


def _read_row(path: Path, number: int, line: str) -> MarkedText:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise FileFormatError(path, f"is not JSON ({error.msg})", line=number) from error
    try:
        if isinstance(row, dict) and "tokens" in row:
            return mark_tokens(row["tokens"], row["tags"])
        if isinstance(row, dict) and "target_scores" in row:
            return mark_values(row["input"], row["target_scores"])
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise FileFormatError(path, f"cannot be used: {error!r}", line=number) from error
    raise FileFormatError(path, "has neither 'tokens' and 'tags' nor 'input' and 'target_scores'", line=number)


def mark_tokens(tokens: Sequence[str], tags: Sequence[str]) -> MarkedText:
    """Turn a query in QueryNER's form into a marked text; an I- without its B- begins a value, as in seqeval.

    Raises ValueError for an unknown tag, and where tokens and tags differ in number.

    >>> mark_tokens(["red", "t-shirt"], ["B-color", "B-core_product_type"]).marks[1]
    Mark(start=4, end=11, label='core_product_type')
    """
    if len(tokens) != len(tags):
        raise ValueError(f"{len(tokens)} tokens but {len(tags)} tags")
    marks: list[Mark] = []
    at, before = 0, "O"
    for token, tag in zip(tokens, tags, strict=True):
        label = tag[2:]
        if tag != "O" and label not in QUERYNER_TYPES:
            raise ValueError(f"unknown tag '{tag}'; the types are {', '.join(QUERYNER_TYPES)}")
        if tag.startswith("I-") and before[2:] == label:
            marks[-1] = Mark(marks[-1].start, at + len(token), label)
        elif tag != "O":
            marks.append(Mark(at, at + len(token), label))
        at, before = at + len(token) + 1, tag
    return MarkedText(" ".join(tokens), Side.QUERY, tuple(marks))


def mark_values(title: str, values: Mapping[str, Mapping[str, Any]]) -> MarkedText:
    """Turn a title in OA-Mine's form into a marked text: each value takes its first free place, longest values first.

    A place begins and ends where words do, so "men" is not found in "women". A value without such a place is dropped.

    >>> mark_values("Women's Shoe, Men", {"Gender": {"Men": 1}}).marks
    (Mark(start=14, end=17, label='audience'),)
    """
    words = split_words(title, Side.TITLE)
    starts, ends = {start for start, _ in words}, {end for _, end in words}
    taken: set[int] = set()
    marks: list[Mark] = []
    pairs = [(value.strip(), OA_MINE_TYPES[kind]) for kind, kind_values in values.items() for value in kind_values]
    for value, kind in sorted(pairs, key=lambda pair: -len(pair[0])):
        at = title.find(value)
        while at >= 0:
            end = at + len(value)
            if at in starts and end in ends and taken.isdisjoint(range(at, end)):
                taken.update(range(at, end))
                marks.append(Mark(at, end, kind.value))
                break
            at = title.find(value, at + 1)
    return MarkedText(title, Side.TITLE, tuple(sorted(marks)))


def score_marks(found: Iterable[Iterable[Mark]], marked: Iterable[Iterable[Mark]]) -> dict[str, SpanScore]:
    """Count by label, and over all labels under "micro"; both iterables hold the same texts in the same order."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in ("correct", "found", "marked")}
    for text_found, text_marked in zip(found, marked, strict=True):
        by_tagger, by_people = set(text_found), set(text_marked)
        for name, marks in (("correct", by_tagger & by_people), ("found", by_tagger), ("marked", by_people)):
            counts[name].update(mark.label for mark in marks)
    labels = sorted(counts["found"] | counts["marked"])
    scores = {label: SpanScore(**{name: counter[label] for name, counter in counts.items()}) for label in labels}
    return {"micro": SpanScore(**{name: counter.total() for name, counter in counts.items()}), **scores}


def score_tagger(tagger: Tagger, texts: Sequence[MarkedText]) -> dict[str, SpanScore]:
    """Tag marked texts and count; a span that ends inside a word ("shoes" of "shoes,") counts as the whole word."""
    found: list[list[Mark]] = [[] for _ in texts]
    for side in Side:
        rows = [row for row, text in enumerate(texts) if text.side == side]
        for row, spans in zip(rows, tagger.tag([texts[row].text for row in rows], side), strict=True):
            words = split_words(texts[row].text, side)
            found[row] = [_widen(words, Mark(span.start, span.end, span.label)) for span in spans]
    return score_marks(found, [text.marks for text in texts])


def _widen(words: Sequence[tuple[int, int]], mark: Mark) -> Mark:
    """Widen a mark to the whole words that it touches."""
    touched = [(start, end) for start, end in words if start < mark.end and mark.start < end]
    return Mark(touched[0][0], touched[-1][1], mark.label)
