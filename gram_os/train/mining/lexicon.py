"""A catalogue's own values, found in texts: a trie over words, longest match first.

It works on normalised words, whoever made them, and knows nothing of the normaliser or of models. `merge_spans` says
what becomes of a place where both the tagger and a known value claim something.
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
    """A known value over the words `first` up to but without `last`."""

    first: int
    last: int
    type: AttributeType


class Lexicon:
    """Known values with the type of the field they stand in; immutable once built."""

    def __init__(self, values: Iterable[tuple[Sequence[str], AttributeType]]):
        """Take each value as its normalised words; where a value comes twice, its first type stays."""
        self._root = _Node()
        for words, kind in values:
            node = self._root
            for word in words:
                node = node.next.setdefault(word, _Node())
            if node is not self._root and node.type is None:
                node.type = kind

    def longest(self, words: Sequence[str], first: int) -> Match | None:
        """The longest known value that begins at word `first`."""
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
    """Known values in a text, from the left, at each place the longest; they do not overlap.

    >>> known = Lexicon([(["toner"], AttributeType.FUNCTION), (["toner", "cartridge"], AttributeType.PRODUCT_TYPE)])
    >>> match_values(["black", "toner", "cartridge"], known)
    [Match(first=1, last=3, type=<AttributeType.PRODUCT_TYPE: 'product_type'>)]
    """
    found: list[Match] = []
    at = 0
    while at < len(words):
        match = lexicon.longest(words, at)
        if match is not None:
            found.append(match)
        at = match.last if match is not None else at + 1
    return found


def locate_matches(text: str, places: Sequence[tuple[int, int]], matches: Iterable[Match]) -> list[Span]:
    """Matches as spans of the text, by the place of each of its words; a known value is certain."""
    spans = []
    for match in matches:
        start, end = places[match.first][0], places[match.last - 1][1]
        spans.append(Span(start, end, text[start:end], match.type, match.type.value, 1.0))
    return spans


def merge_spans(tagged: Sequence[Span], known: Sequence[Span]) -> list[Span]:
    """The spans of the tagger and of the known values in one list without overlaps, in reading order.

    A known value wins over every tagged span that it overlaps when it is at least as long as each of them (the
    catalogue's spelling of a value beats a guess at its borders); where a longer tagged span overlaps it, that one stays
    ("apple" is a known brand, "apple green" was tagged as a colour).
    """
    kept: list[Span] = []
    beaten: set[Span] = set()
    for value in known:
        rivals = [span for span in tagged if span.start < value.end and value.start < span.end]
        if all(span.end - span.start <= value.end - value.start for span in rivals):
            kept.append(value)
            beaten.update(rivals)
    return sorted([*kept, *(span for span in tagged if span not in beaten)], key=lambda span: span.start)
