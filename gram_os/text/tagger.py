"""The tagger: text -> typed values with their places and probabilities.

It knows words and labels, and how to find the best valid label sequence in the tag head's logits. The network is a
function that the caller passes (`TagFunction`). The known values of a catalogue are in gram_os/train/mining.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from tokenizers import Tokenizer

from gram_os.arrays import DoubleArray, FloatArray, IntArray
from gram_os.text.attribute import SIDE_LABELS, SIDE_TYPES, AttributeType, Side, head_columns
from gram_os.text.letters import WRITTEN_WORD

#: int64 (batch, tokens) ids and mask -> float32 (batch, tokens, HEAD_WIDTH) logits of the tag head.
TagFunction: TypeAlias = Callable[[IntArray, IntArray], FloatArray]

#: Tokens of a text that are read, the two special ones included; words behind them stay untagged.
MAX_TOKENS: Final[int] = 128

# A title joins values by commas, dashes and slashes ("Shoe-49-Black/Moonlight"). So there each mark is a word, as in
# BERT's pre-tokenizer. In a query, spaces separate the words ("1/2", "l.o.l", "men's"), as in QueryNER. Combining marks
# and signs that nobody sees belong to the title's word before them.
_WORD: Final = {Side.QUERY: re.compile(r"\S+"), Side.TITLE: re.compile(rf"{WRITTEN_WORD}|[^\w\s]|_")}
# Marks that are cut off the ends of a query's span: "shoes," names shoes. Inches, %, $, # and + carry meaning.
_EDGE: Final[str] = ",;:!?.()[]{}|*"
_LEADING: Final = re.compile(r"(?:[,;:!?()\[\]{}|*]|\.(?!\d))*")  # ".5" keeps its point


@dataclass(frozen=True, slots=True)
class Span:
    """A tagged value: characters `start` to `end` of the text.

    label: the type as the side's data set names it. type: the same type among the 16. probability: of the least certain
    word, P(chosen label) by the word's own softmax.
    """

    start: int
    end: int
    text: str
    type: AttributeType
    label: str
    probability: float


@dataclass(frozen=True, slots=True)
class Words:
    """A text's words and tokens; `first[i]` is the place of word i's first token, -1 for a word without tokens."""

    places: tuple[tuple[int, int], ...]
    ids: tuple[int, ...]
    first: tuple[int, ...]


def split_words(text: str, side: Side) -> list[tuple[int, int]]:
    """Return the start and end of each word.

    >>> split_words("1/2 oak", Side.QUERY), split_words("1/2 oak", Side.TITLE)
    ([(0, 3), (4, 7)], [(0, 1), (1, 2), (2, 3), (4, 7)])
    """
    return [match.span() for match in _WORD[side].finditer(text)]


def encode_words(tokenizer: Tokenizer, texts: Sequence[str], side: Side) -> list[Words]:
    """Return the tokens of each text, and where each word begins among them. The tokenizer must not pad or cut."""
    encoded = tokenizer.encode_batch(list(texts))
    return [_place_words(split_words(text, side), item) for text, item in zip(texts, encoded, strict=True)]


def _place_words(places: list[tuple[int, int]], item: object) -> Words:
    ids, offsets, special = item.ids, item.offsets, item.special_tokens_mask  # type: ignore[attr-defined]
    if len(ids) > MAX_TOKENS:
        ids = [*ids[: MAX_TOKENS - 1], ids[-1]]
        offsets, special = (
            [*offsets[: MAX_TOKENS - 1], offsets[-1]],
            [*special[: MAX_TOKENS - 1], special[-1]],
        )
    first: list[int] = []
    at = 0
    for start, end in places:
        while at < len(ids) and (special[at] or offsets[at][0] < start):
            at += 1
        first.append(at if at < len(ids) and offsets[at][0] < end else -1)
    return Words(tuple(places), tuple(ids), tuple(first))


def pad_ids(rows: Sequence[Sequence[int]]) -> tuple[IntArray, IntArray]:
    """Pad rows of token ids to the longest. Returns ids and mask, both int64 (batch, longest row)."""
    width = max(map(len, rows))
    ids = np.zeros((len(rows), width), np.int64)
    mask = np.zeros((len(rows), width), np.int64)
    for row, values in enumerate(rows):
        ids[row, : len(values)] = values
        mask[row, : len(values)] = 1
    return ids, mask


def log_softmax(logits: FloatArray) -> DoubleArray:
    """Return natural log-probabilities over the last axis."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def decode_bio(scores: DoubleArray) -> list[int]:
    """Find the best valid label sequence of a text: float64 (words, labels) log-probabilities -> one label a word.

    This is Viterbi over labels in the order of `bio_labels`. One rule makes a sequence valid: I-x (even, not 0) follows
    B-x or I-x. So for I-x only the better path to B-x and I-x matters, and for every other label only the best path.
    """
    words, labels = scores.shape
    if not words:
        return []
    inside = np.arange(2, labels, 2)
    best = scores[0].copy()
    best[inside] = -np.inf  # no value continues at the first word
    back = np.zeros((words, labels), np.int64)
    for word in range(1, words):
        back[word] = int(best.argmax())
        back[word, inside] = np.where(best[inside] >= best[inside - 1], inside, inside - 1)
        best = best[back[word]] + scores[word]
    path = [int(best.argmax())]
    for word in range(words - 1, 0, -1):
        path.append(int(back[word, path[-1]]))
    return path[::-1]


def group_labels(path: Sequence[int]) -> Iterator[tuple[int, range]]:
    """Yield the values of a valid label sequence: (the B label, the range of words).

    >>> list(group_labels([1, 2, 0, 3, 3]))
    [(1, range(0, 2)), (3, range(3, 4)), (3, range(4, 5))]
    """
    start = 0
    for word in range(1, len(path) + 1):
        if word < len(path) and path[word] and path[word] % 2 == 0:
            continue
        if path[start]:
            yield path[start], range(start, word)
        start = word


class Tagger:
    """Finds the values of texts with a network that gives each token a score for each label."""

    def __init__(self, tokenizer: Tokenizer, score: TagFunction, *, batch_size: int = 64):
        self._tokenizer = Tokenizer.from_str(tokenizer.to_str())  # a copy: padding below must not change the caller's
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._score = score
        self._batch_size = batch_size

    def tag(self, texts: Sequence[str], side: Side) -> list[list[Span]]:
        """Return the values of each text, in reading order."""
        words = encode_words(self._tokenizer, texts, side)
        found: list[list[Span]] = [[] for _ in texts]
        order = sorted(range(len(texts)), key=lambda row: len(words[row].ids))  # equal lengths pad least
        for at in range(0, len(order), self._batch_size):
            rows = order[at : at + self._batch_size]
            ids, mask = pad_ids([words[row].ids for row in rows])
            logits = self._score(ids, mask)[:, :, head_columns(side)]
            for row, row_logits in zip(rows, logits, strict=True):
                found[row] = _read_spans(texts[row], words[row], row_logits, side)
        return found


def _read_spans(text: str, words: Words, logits: FloatArray, side: Side) -> list[Span]:
    names = SIDE_LABELS[side]
    kept = [word for word, token in enumerate(words.first) if token >= 0]
    scores = log_softmax(logits[[words.first[word] for word in kept]])  # (words with a token, labels)
    path = decode_bio(scores)
    chosen = np.exp(scores[np.arange(len(path)), path])
    spans = []
    for begin, run in group_labels(path):
        start, end = words.places[kept[run[0]]][0], words.places[kept[run[-1]]][1]
        start, end = _trim(text, start, end) if side == Side.QUERY else (start, end)
        label = names[begin][2:]
        probability = float(chosen[run.start : run.stop].min())
        spans.append(Span(start, end, text[start:end], SIDE_TYPES[side][label], label, probability))
    return spans


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    left = start + len(_LEADING.match(text[start:end])[0])  # type: ignore[index]  # the pattern matches anything
    right = start + len(text[start:end].rstrip(_EDGE))
    return (left, right) if left < right else (start, end)
