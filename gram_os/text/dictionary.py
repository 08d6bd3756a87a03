"""What a bundle knows of its catalogue's words and attribute values, without any model.

`AttributeDictionary` is the generator's output vocabulary: a value's place is its token, and places are in
lexicographic order, so ascending tokens are a code in canonical order. `Vocabulary` counts the catalogue's words and
mends a query's: misspellings, words written together or apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import TypeAlias

from rapidfuzz import process
from rapidfuzz.distance import OSA

from gram_os.text.attribute import AttributeType
from gram_os.text.code import Code

#: A code as a model writes it.
Tokens: TypeAlias = tuple[int, ...]


@dataclass(frozen=True)
class AttributeDictionary:
    """The known attribute values, ascending, each with its commonest type and its number of products."""

    values: tuple[str, ...]
    types: tuple[AttributeType, ...]
    counts: tuple[int, ...]

    @cached_property
    def tokens(self) -> Mapping[str, int]:
        """Value -> token."""
        return {value: token for token, value in enumerate(self.values)}

    @cached_property
    def longest(self) -> int:
        """Words in the longest value."""
        return max((value.count(" ") + 1 for value in self.values), default=0)

    def type_of(self, value: str) -> AttributeType | None:
        """The type of a value, None when it is not in the dictionary."""
        token = self.tokens.get(value)
        return None if token is None else self.types[token]

    def encode(self, code: Code) -> tuple[int, ...] | None:
        """The code's tokens, or None when one of its values is unknown."""
        tokens = [self.tokens.get(value) for value in code.values]
        return None if None in tokens else tuple(t for t in tokens if t is not None)

    def decode(self, tokens: Sequence[int]) -> Code:
        """The code of ascending tokens."""
        values = [self.values[token] for token in tokens]  # a generator would take half as long again
        return Code(tuple(values))

    def phrases(self, words: Sequence[str]) -> list[str]:
        """Values of two words and more that stand in a row of normalised words."""
        found = dict.fromkeys(
            " ".join(words[start : start + size])
            for size in range(2, self.longest + 1)
            for start in range(len(words) - size + 1)
        )
        return [phrase for phrase in found if phrase in self.tokens]


@dataclass(frozen=True)
class Vocabulary:
    """The catalogue's single words, normalised, with the number of products that hold them."""

    counts: Mapping[str, int]
    _sorted: list[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        ordered = sorted(self.counts, key=lambda word: (-self.counts[word], word))
        object.__setattr__(self, "_sorted", [word for word in ordered if word.isalpha() and len(word) > 3])

    def join(self, words: Sequence[str]) -> list[str]:
        """Neighbours that the catalogue writes as one word: "deck", "over" -> "deckover"."""
        pairs = (left + right for left, right in pairwise(words))
        return [joined for joined in pairs if joined in self.counts]

    def mend(self, word: str) -> list[str]:
        """What an unknown word may stand for: two known words written together, else the nearest known word.

        One edit (Damerau, adjacent letters swapped count as one) up to six letters, two above; the first letter
        stays, since few people miss it. Known words, short ones, those above 40 letters and words with digits are left
        alone.
        """
        if word in self.counts or not 4 <= len(word) <= 40 or not word.isalpha():
            return []
        near = self._nearest(word)
        halves = [(word[:i], word[i:]) for i in range(3, len(word) - 2)]
        known = [(a, b) for a, b in halves if a in self.counts and b in self.counts]
        parted = max(known, key=self._rarer, default=None)
        if parted is not None and (near is None or self._rarer(parted) > self.counts[near]):
            return list(parted)
        return [near] if near is not None else []

    def _nearest(self, word: str) -> str | None:
        found = process.extract(
            word, self._sorted, scorer=OSA.distance, score_cutoff=1 if len(word) <= 6 else 2, limit=None
        )
        same = [(distance, -self.counts[other], other) for other, distance, _ in found if other[0] == word[0]]
        return min(same)[2] if same else None

    def _rarer(self, pair: tuple[str, str]) -> int:
        """Products that hold the rarer of two words."""
        return min(self.counts[pair[0]], self.counts[pair[1]])
