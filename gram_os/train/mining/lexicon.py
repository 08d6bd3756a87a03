"""A catalogue's known values, found in texts: a trie over words, longest match first.

Works on normalised words. Knows neither the normaliser nor models. `merge_spans` decides between the tagger and a known
value where they overlap.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from gram_os.text.attribute import AttributeType
from gram_os.text.tagger import Span


@dataclass(slots=True)
class _Node:
    next: dict[str, _Node] = field(default_factory=dict)
    type: AttributeType | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """A known value over the words from `first` up to, but not including, `last`."""

    first: int
    last: int
    type: AttributeType


class Lexicon:
    """Known values, each with the type of the field that holds it; immutable once built."""

    def __init__(self, values: Iterable[tuple[Sequence[str], AttributeType]]):
        """Take each value as its normalised words; a repeated value keeps its first type."""
        self._root = _Node()
        for words, kind in values:
            node = self._root
            for word in words:
                node = node.next.setdefault(word, _Node())
            if node is not self._root and node.type is None:
                node.type = kind

    def find_longest(self, words: Sequence[str], first: int) -> Match | None:
        """Return the longest known value that begins at word `first`; None where none begins there."""
        node, best = self._root, None
        for at in range(first, len(words)):
            following = node.next.get(words[at])
            if following is None:
                break
            node = following
            if node.type is not None:
                best = Match(first, at + 1, node.type)
        return best


def match_values(words: Sequence[str], lexicon: Lexicon) -> list[Match]:
    """Find known values from left to right, the longest at each place; matches do not overlap.

    >>> known = Lexicon([(["toner"], AttributeType.FUNCTION), (["toner", "cartridge"], AttributeType.PRODUCT_TYPE)])
    >>> match_values(["black", "toner", "cartridge"], known)
    [Match(first=1, last=3, type=<AttributeType.PRODUCT_TYPE: 'product_type'>)]
    """
    found: list[Match] = []
    at = 0
    while at < len(words):
        match = lexicon.find_longest(words, at)
        if match is not None:
            found.append(match)
        at = match.last if match is not None else at + 1
    return found


def locate_matches(text: str, places: Sequence[tuple[int, int]], matches: Iterable[Match]) -> list[Span]:
    """Turn matches into spans of the text, with probability 1; places: where each word starts and ends."""
    spans = []
    for match in matches:
        start, end = places[match.first][0], places[match.last - 1][1]
        spans.append(Span(start, end, text[start:end], match.type, match.type.value, 1.0))
    return spans


def merge_spans(tagged: Sequence[Span], known: Sequence[Span]) -> list[Span]:
    """Merge the tagger's spans and those of known values into one list without overlaps, in reading order.

    A known value replaces all tagged spans that it overlaps when it is at least as long as each of them: the
    catalogue's spelling of a value beats the tagger's guess at its borders. A longer tagged span stays and the known
    value goes ("apple" is a known brand, the tagger marked "apple green" as a colour).
    """
    kept: list[Span] = []
    replaced: set[Span] = set()
    for value in known:
        rivals = [span for span in tagged if span.start < value.end and value.start < span.end]
        if all(span.end - span.start <= value.end - value.start for span in rivals):
            kept.append(value)
            replaced.update(rivals)
    return sorted([*kept, *(span for span in tagged if span not in replaced)], key=lambda span: span.start)
