"""The names that people use, out of the names that a taxonomy gives its categories.

"Printer, Copier & Fax Machine Accessories" becomes three names. Knows how English joins alternatives. What it knows of
single words comes from the taxonomy's own names (`NameWords`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Final, TypeAlias

from gram_os.text.normalise import Normaliser
from gram_os.train.types.plurals import list_singulars
from gram_os.train.types.taxonomy import Taxonomy

Words: TypeAlias = tuple[str, ...]

# "and", "&" and commas stand between words; a slash joins words of two letters and more (CD/DVD, but I/O).
_JOINT = re.compile(r"\s*,\s*(?:(?:&|and)\s+)?|\s+(?:&|and|/)\s+|(?<=\w\w)/(?=\w\w)", re.IGNORECASE)
_BRACKETS = re.compile(r"\s*\(([^()]*)\)")
_ACRONYM_SIGNS = re.compile(r"[^A-Z]")
# Two words with "and" between them that are one word. Each side alone means something else.
_PAIRS: Final = (
    *("black white", "hook loop", "track field", "sweet sour", "push pull", "board batten", "tongue groove"),
    *("open closed", "ball cup", "salt pepper", "bow arrow", "plug play", "peel stick", "wet dry", "mix match"),
    *("rock roll", "fish chips", "mac cheese", "heat eat", "grab go", "hide seek", "bed breakfast"),
)
_AND: Final = r"\s+(?:&|and)\s+"
_PAIR = re.compile(r"\b(?:" + "|".join(_AND.join(pair.split()) for pair in _PAIRS) + r")\b", re.IGNORECASE)
_SIGNS: Final = " ,&/"
_GLUE: Final = "_"  # joins the words of a pair in place of spaces
# Nouns that say nothing without the thing they belong to.
_DEPENDENT: Final = frozenset(("accessories", "parts", "supplies", "attachments", "components", "refills"))
_IRREGULAR: Final = {"children": "child", "people": "person", "feet": "foot", "teeth": "tooth", "mice": "mouse"}
_COMPOUND: Final = 0.6  # share of a word's uses beside one other word that makes the two a compound
_COMPOUND_USES: Final = 3


class NameWords:
    """What the names of a taxonomy say about their words: plural or not, end or modifier, compounds.

    names: of all categories. Without names, only the spelling of a word decides. nouns: of a thesaurus, in the
    singular; they tell more compounds, such as "dining room".

    >>> words = NameWords(["Fax Machines", "Printers", "Sports Bags", "Sports Shoes"])
    >>> words.is_plural("printers"), words.is_plural("sports"), words.is_noun(("fax", "machine"))
    (True, False, True)
    """

    def __init__(self, names: Iterable[str] = (), nouns: Iterable[str] = ()) -> None:
        self._ends: Counter[str] = Counter()
        self._heads: Counter[str] = Counter()
        self._followers: dict[str, Counter[str]] = {}
        self._followed: Counter[str] = Counter()
        self._nouns: set[Words] = {tuple(noun.split()) for noun in nouns}
        cut_names = [segments for name in dict.fromkeys(names) if (segments := _cut(_drop_brackets(name)))]
        for segments in cut_names:
            self._count(segments)
        self.known = bool(self._heads)
        # The plain names tell what the joined ones mean, so they come first.
        for segments in sorted(cut_names, key=len):
            for phrase in list(_read(segments, self)):
                self._add_noun(phrase)

    def _count(self, segments: Sequence[Words]) -> None:
        for segment in segments:
            self._heads[segment[-1]] += 1
            for word, follower in pairwise(segment):
                self._followers.setdefault(word, Counter())[follower] += 1
                self._followed[follower] += 1
        if len(segments) == 1:
            self._ends[segments[0][-1]] += 1

    def _add_noun(self, phrase: Words) -> None:
        singular = (*phrase[:-1], self.make_singular(phrase[-1]))
        self._nouns.update(singular[start:] for start in range(len(singular)))

    def _uses(self, word: str) -> int:
        """How often a word stands before another one."""
        return sum(self._followers.get(word, Counter()).values())

    def is_plural(self, word: str) -> bool:
        """Say whether a word is a plural: by its spelling, unless it modifies more often than it ends a name."""
        return bool(word in _IRREGULAR or list_singulars(word)) and self._uses(word) <= max(self._ends[word], 1)

    def make_singular(self, word: str) -> str:
        """Return the singular, a spelling that the taxonomy has if there is one. Other words come back unchanged."""
        if word in _IRREGULAR:
            return _IRREGULAR[word]
        singulars = list_singulars(word) if self.is_plural(word) else ()
        return next((one for one in singulars if one in self._followers or self._heads[one]), (*singulars, word)[0])

    def is_noun(self, phrase: Words) -> bool:
        """Say whether a phrase in the singular is a thing: some category's name ends with it."""
        return phrase in self._nouns

    def is_compound(self, first: str, second: str) -> bool:
        """Say whether the other word follows most uses of the first one: field hockey."""
        uses = self._uses(first)
        return uses >= _COMPOUND_USES and self._followers[first][second] >= _COMPOUND * uses

    def is_fixed(self, first: str, second: str) -> bool:
        """Say whether the two words occur together only, so that `second` ends little else: martial arts."""
        together = self._followers.get(first, Counter())[second]
        enough = together >= _COMPOUND_USES and together >= _COMPOUND * self._followed[second]
        return enough and not self.is_plural(second)

    def is_sole_head(self, word: str) -> bool:
        """Say whether one name only has this word as an end of an alternative: panniers."""
        return self._heads[word] == 1


_NO_WORDS: Final = NameWords()


def split_names(name: str, words: NameWords = _NO_WORDS) -> list[str]:
    """Return the alternatives that a category's name joins, as phrases in lower case, in the order of the name.

    Alternatives that end in a plural stand alone. A singular one shares the end of the next one that stands alone. A
    single word shares the modifiers of the one before it. A plural that ends no other name stands alone too.
    What is in brackets is left out. An abbreviation in brackets gives a name of its own.

    >>> split_names("Mobile & Smart Phones"), split_names("Bags, Cases & Sleeves")
    (['mobile phones', 'smart phones'], ['bags', 'cases', 'sleeves'])
    >>> split_names("Bicycle Bags & Panniers"), split_names("Digital Single-Lens Reflex (DSLR) Cameras")
    (['bicycle bags', 'bicycle panniers'], ['digital single-lens reflex cameras', 'dslr cameras'])
    """
    readings = (_read(_cut(text), words) for text in (_drop_brackets(name), *_abbreviate(name)))
    phrases = (" ".join(phrase).replace(_GLUE, " ") for reading in readings for phrase in reading)
    return list(dict.fromkeys(phrases))


def _drop_brackets(name: str) -> str:
    return _BRACKETS.sub(" ", name)


def _abbreviate(name: str) -> Iterator[str]:
    """Yield the name with the abbreviation in its brackets in place of the words that it abbreviates."""
    for match in _BRACKETS.finditer(name):
        letters = _ACRONYM_SIGNS.sub("", match[1])
        before = list(re.finditer(r"[^\s-]+", name[: match.start()]))
        initials = "".join(word[0][0].upper() for word in before)
        if len(letters) > 1 and initials.endswith(letters):
            start = before[len(before) - len(letters)].start()
            yield name[:start] + match[1] + name[match.end() :]


def _cut(name: str) -> list[Words]:
    """Cut a name at its joints into alternatives of words in lower case."""
    glued = _PAIR.sub(lambda match: re.sub(_AND, f"{_GLUE}and{_GLUE}", match[0].lower()), name)
    return [tuple(part.lower().split()) for part in _JOINT.split(glued.strip(_SIGNS)) if part.strip()]


def _read(segments: Sequence[Words], words: NameWords) -> Iterator[Words]:
    """Yield the alternatives that the segments of a name mean."""
    read: list[Words] = []
    before: list[Words] = []  # the alternatives whose beginning a single word shares
    for group in _group(segments, words):
        if len(group) > 1:
            before = readings = _share_end(group, words)
        elif len(group[0]) > 1 or not before:
            before = readings = [group[0]]
        else:
            readings = _share_beginning(group[0][0], before, read, words)
        read += readings
    yield from read


def _group(segments: Sequence[Words], words: NameWords) -> list[list[Words]]:
    """Put each segment that lacks an end together with the next one that has it, from right to left."""
    groups: list[list[Words]] = []
    for segment in reversed(segments):
        if groups and not _stands_alone(segment, groups[0][-1], words):
            groups[0].insert(0, segment)
        else:
            groups.insert(0, [segment])
    return groups


def _stands_alone(segment: Words, following: Words, words: NameWords) -> bool:
    """Say whether a segment needs no end of the next one that stands alone."""
    if len(following) == 1 or words.is_plural(segment[-1]):
        return True
    return len(following) == 2 and words.is_fixed(*following)


def _share_end(group: Sequence[Words], words: NameWords) -> list[Words]:
    """Read `printer, copier, fax machine accessories`: the last segment's end belongs to all."""
    *heads, last = group
    cut = _find_end(heads, last, words)
    end = last[cut:]
    beginning = _find_beginning(heads[0], last[0], words) if cut == 1 else ()
    others = [(*beginning, *head, *end) if len(head) == 1 else (*head, *end) for head in heads[1:]]
    return [(*heads[0], *end), *others, (*beginning, *last)]


def _find_beginning(first: Words, modifier: str, words: NameWords) -> Words:
    """Return the words that all alternatives share: `motorcycle elbow & wrist guards` begins with one."""
    beginning = first[:-1]
    if not beginning or any(part in first for part in modifier.split("-")):
        return ()
    if words.is_noun((*beginning, modifier)):
        return beginning
    return () if words.is_noun(first) or words.is_compound(*first[-2:]) else beginning


def _find_end(heads: Sequence[Words], last: Words, words: NameWords) -> int:
    """Return where the shared end begins in the last segment, counted in words."""
    longest = len(last) - 1
    repeated = max((len(head) for head in heads if head == last[: len(head)]), default=0)
    if not words.known:
        return longest
    if 0 < repeated < longest:  # stamp & stamp pad sets
        return repeated + 1
    for cut in range(1, longest):
        if any(words.is_noun((*head, *last[cut:stop])) for head in heads for stop in range(cut + 1, len(last))):
            return cut
    for cut in range(longest, 1, -1):
        if words.is_noun(last[:cut]) or words.is_compound(last[cut - 2], last[cut - 1]):
            return cut
    return 1


def _share_beginning(word: str, before: Sequence[Words], read: Sequence[Words], words: NameWords) -> list[Words]:
    """Read a single word that depends on what stands before it: `bicycle bags, panniers` and `costumes, accessories`.

    before: the alternatives of the last segment that has a beginning. read: all alternatives of the name so far.
    """
    things = [phrase for phrase in read if phrase[-1] not in _DEPENDENT]
    if word in _DEPENDENT and len(things) == len(read):
        return [(*phrase[:-1], words.make_singular(phrase[-1]), word) for phrase in things]
    beginnings = dict.fromkeys(phrase[:-1] for phrase in before if len(phrase) > 1)
    shared = [(*beginning, word) for beginning in beginnings if word not in beginning]
    if not shared or any(_is_closed(phrase, words) for phrase in before):
        return [(word,)]
    return [*shared, (word,)] if words.is_sole_head(word) and words.is_plural(word) else shared


def _is_closed(phrase: Words, words: NameWords) -> bool:
    """Say whether the beginning of a phrase belongs to its end only: figure skating."""
    return len(phrase) > 1 and not words.is_plural(phrase[-1]) and words.is_compound(*phrase[-2:])


def list_category_names(taxonomy: Taxonomy | None, normaliser: Normaliser) -> Iterator[str]:
    """Yield the names of a taxonomy's categories, normalised."""
    if taxonomy is not None:
        words = NameWords(category.name for category in taxonomy)
        for category in taxonomy:
            for name in split_names(category.name, words):
                if value := normaliser.value(name):
                    yield value


def list_category_words(taxonomy: Taxonomy | None) -> set[str]:
    """Return the last words of the taxonomy's names, in lower case, in the plural and in the singular."""
    words = set() if taxonomy is None else {category.name.lower().split()[-1] for category in taxonomy}
    return words.union(*map(list_singulars, words))
