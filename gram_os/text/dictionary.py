"""What a bundle knows about its catalogue's words and attribute values. No model is needed.

`AttributeDictionary` holds the values that a model can write. A value's place is its token, and places are in
lexicographic order, so ascending tokens are a code in canonical order. `Vocabulary` counts the catalogue's words and
mends those of a query: misspellings, and words that are written together or apart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import TypeAlias

from rapidfuzz import process
from rapidfuzz.distance import OSA

from gram_os.text.attribute import AttributeType
from gram_os.text.code import Code
from gram_os.text.fold import fold_accents
from gram_os.text.letters import is_word

#: A code as the tokens of a model.
Tokens: TypeAlias = tuple[int, ...]


@dataclass(frozen=True)
class AttributeDictionary:
    """The attribute values that a model can write, ascending, with their commonest types and numbers of products."""

    values: tuple[str, ...]
    types: tuple[AttributeType, ...]
    counts: tuple[int, ...]

    @cached_property
    def tokens(self) -> Mapping[str, int]:
        """Value -> token."""
        return {value: token for token, value in enumerate(self.values)}

    @cached_property
    def longest(self) -> int:
        """The number of words in the longest value."""
        return max((value.count(" ") + 1 for value in self.values), default=0)

    def type_of(self, value: str) -> AttributeType | None:
        """Return the type of a value, None when it is not in the dictionary."""
        token = self.tokens.get(value)
        return None if token is None else self.types[token]

    def encode(self, code: Code) -> tuple[int, ...] | None:
        """Return the code's tokens, or None when one of its values is not in the dictionary."""
        tokens = [self.tokens.get(value) for value in code.values]
        return None if None in tokens else tuple(t for t in tokens if t is not None)

    def decode(self, tokens: Sequence[int]) -> Code:
        """Return the code of ascending tokens."""
        values = [self.values[token] for token in tokens]  # a generator would take half as long again
        return Code(tuple(values))

    def phrases(self, words: Sequence[str]) -> list[str]:
        """Return the values of two words or more that occur in a sequence of normalised words."""
        found = dict.fromkeys(
            " ".join(words[start : start + size])
            for size in range(2, self.longest + 1)
            for start in range(len(words) - size + 1)
        )
        return [phrase for phrase in found if phrase in self.tokens]


_WORD_AND_NUMBER = re.compile(r"([^\W\d_]{3,})(\d{1,4})")


@dataclass(frozen=True)
class Vocabulary:
    """The catalogue's single words, normalised, each with its number of products.

    Words are compared without accents, as queries may be typed, and returned as the catalogue writes them.
    """

    counts: Mapping[str, int]
    _known: Mapping[str, str] = field(init=False, repr=False)  # word without accents -> word
    _sorted: list[str] = field(init=False, repr=False)  # without accents, commonest first

    def __post_init__(self) -> None:
        ordered = sorted(self.counts, key=lambda word: (-self.counts[word], word))
        known: dict[str, str] = {}
        for word in ordered:
            known.setdefault(fold_accents(word.casefold()) if not word.isascii() else word, word)
        object.__setattr__(self, "_known", known)
        object.__setattr__(self, "_sorted", [word for word in known if len(word) > 3 and is_word(word)])

    def join(self, words: Sequence[str]) -> list[str]:
        """Join neighbours that the catalogue writes as one word: "deck", "over" -> "deckover"."""
        pairs = (self._find(left + right) for left, right in pairwise(words))
        return [joined for joined in pairs if joined is not None]

    def mend(self, word: str) -> list[str]:
        """Return what an unknown word may stand for: two known words written together, or the nearest known word.

        The nearest word is at most one edit away for words up to six letters, two edits for longer ones. A swap of
        neighbouring letters counts as one edit (Damerau). The first letter must be the same, because few people mistype
        it. Nothing is returned for known words, and words below 4 or above 40 letters. Two words win when the rarer of
        them is in more products than the nearest word. A word with digits is only parted: "iphone13" is "iphone", "13".
        """
        if self._find(word) is not None or not 4 <= len(word) <= 40:
            return []
        if not is_word(word):
            return self._part_number(word)
        word = fold_accents(word)
        near = self._nearest(word)
        halves = [(self._known.get(word[:i]), self._known.get(word[i:])) for i in range(3, len(word) - 2)]
        known = [(a, b) for a, b in halves if a is not None and b is not None]
        parted = max(known, key=self._rarer, default=None)
        if parted is not None and (near is None or self._rarer(parted) > self.counts[near]):
            return list(parted)
        return [near] if near is not None else []

    def _part_number(self, word: str) -> list[str]:
        """Part a word and a number that were typed together, when the catalogue knows both: "iphone13"."""
        match = _WORD_AND_NUMBER.fullmatch(word)
        known = [self._find(part) for part in match.groups()] if match is not None else []
        return [part for part in known if part is not None] if None not in known else []

    def _find(self, word: str) -> str | None:
        """Return the catalogue's word, whatever its accents. None for an unknown one."""
        return self._known.get(word if word.isascii() else fold_accents(word.casefold()))

    def _nearest(self, word: str) -> str | None:
        found = process.extract(
            word, self._sorted, scorer=OSA.distance, score_cutoff=1 if len(word) <= 6 else 2, limit=None
        )
        near = ((distance, self._known[other]) for other, distance, _ in found if other[0] == word[0])
        same = [(distance, -self.counts[other], other) for distance, other in near]
        return min(same)[2] if same else None

    def _rarer(self, pair: tuple[str, str]) -> int:
        """Return the number of products of the rarer of two words."""
        return min(self.counts[pair[0]], self.counts[pair[1]])
