"""The product types of a catalogue: their names, broader types and synonyms, as a table that people can read and edit.

    product_types.tsv    name, products, broader types, synonyms; the last two joined by " | "

A type's place in the table is its column in the model's answer. This module knows names, and neither models nor
products.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Final

from gram_os.errors import FileFormatError

SEPARATOR: Final = " | "
_LEAST_JOINED: Final = 6  # letters of a name that may be written apart or together
_HEADER: Final = ("name", "products", "broader", "synonyms")


@dataclass(frozen=True, slots=True)
class ProductType:
    """What a product can be.

    name: a normalised value. products: how many the catalogue has. broader: names of types that it is one of, the
    nearest first. synonyms: other normalised names.
    """

    name: str
    products: int
    broader: tuple[str, ...] = ()
    synonyms: tuple[str, ...] = ()


@dataclass(frozen=True)
class TypeVocabulary:
    """All product types of a catalogue, in the order of their table.

    >>> patch = ProductType("patch cable", 5, ("cable",), ("patch cord",))
    >>> vocabulary = TypeVocabulary((ProductType("cable", 9), patch))
    >>> vocabulary.find("patch cord"), vocabulary.find("toner"), vocabulary.with_broader(1)
    ((1,), (), (1, 0))
    """

    types: tuple[ProductType, ...] = ()

    def __len__(self) -> int:
        return len(self.types)

    @cached_property
    def places(self) -> Mapping[str, int]:
        """Name -> place; synonyms are not in it."""
        return {kind.name: place for place, kind in enumerate(self.types)}

    @cached_property
    def longest(self) -> int:
        """The most words that a name or a synonym may be written in: one may be written apart ("key board")."""
        return max((name.count(" ") + 2 for kind in self.types for name in (kind.name, *kind.synonyms)), default=0)

    def find(self, name: str) -> tuple[int, ...]:
        """Return the types of a name or a synonym, the one with the most products first; empty for other phrases.

        Words that are written apart or together are one name: "key board", "harddrive".
        """
        return self._names.get(name) or self._joined.get(_join(name), ())

    def with_broader(self, place: int) -> tuple[int, ...]:
        """Return a type and all its broader types, the nearest first."""
        return self._closures[place]

    def normalised(self, normalise: Callable[[str], str]) -> TypeVocabulary:
        """Return the vocabulary with its synonyms in normalised form.

        A name that is not in this form is kept as it is written, and its normalised form is a synonym. So whoever edits
        the table need not know the rules.
        """
        types = []
        for kind in self.types:
            others = dict.fromkeys(map(normalise, (*kind.synonyms, kind.name)))
            types.append(replace(kind, synonyms=tuple(name for name in others if name and name != kind.name)))
        return TypeVocabulary(tuple(types))

    @cached_property
    def _names(self) -> Mapping[str, tuple[int, ...]]:
        found: dict[str, list[int]] = defaultdict(list)
        order = sorted(range(len(self.types)), key=lambda place: (-self.types[place].products, place))
        for place in order:
            for name in dict.fromkeys((self.types[place].name, *self.types[place].synonyms)):
                found[name].append(place)
        # A type's own name means that type, whatever others call it a synonym of theirs.
        return {
            name: (self.places[name], *(p for p in row if p != self.places[name]))
            if name in self.places
            else tuple(row)
            for name, row in found.items()
        }

    @cached_property
    def _joined(self) -> Mapping[str, tuple[int, ...]]:
        """The types of names without their spaces, of the shortest of several names."""
        names = sorted(self._names, key=lambda name: (-len(name), name))
        return {joined: self._names[name] for name in names if len(joined := _join(name)) >= _LEAST_JOINED}

    @cached_property
    def _closures(self) -> Sequence[tuple[int, ...]]:
        closures: list[tuple[int, ...]] = []
        for place in range(len(self.types)):
            found, waiting = {place: None}, [place]
            while waiting:
                broader = [self.places[n] for n in self.types[waiting.pop(0)].broader if n in self.places]
                fresh = [b for b in broader if b not in found]
                found.update(dict.fromkeys(fresh))
                waiting += fresh
            closures.append(tuple(found))
        return closures


#: The vocabulary of a catalogue without product types.
NO_TYPES: Final = TypeVocabulary()


def write_types(vocabulary: TypeVocabulary, file: Path) -> None:
    """Write the table."""
    rows = [
        _HEADER,
        *((k.name, str(k.products), SEPARATOR.join(k.broader), SEPARATOR.join(k.synonyms)) for k in vocabulary.types),
    ]
    file.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")


def read_types(file: Path) -> TypeVocabulary:
    """Read what `write_types` wrote, or what somebody made of it. The types keep the order of their lines.

    Raises FileFormatError with line and cure for a row that is no type, a name that stands twice, and a broader type
    that has no row.
    """
    lines = file.read_text(encoding="utf-8").splitlines()
    if not lines or tuple(lines[0].split("\t")) != _HEADER:
        raise FileFormatError(file, f"the first line must be {' '.join(_HEADER)}, parted by tabs", line=1)
    types = [_read_row(file, number, line) for number, line in enumerate(lines[1:], 2)]
    _check(file, types)
    return TypeVocabulary(tuple(types))


def _read_row(file: Path, number: int, line: str) -> ProductType:
    cells = line.split("\t")
    if len(cells) != len(_HEADER):
        raise FileFormatError(file, f"{len(cells)} columns instead of {len(_HEADER)}; part them by tabs", line=number)
    name, products, broader, synonyms = cells
    if not name.strip():
        raise FileFormatError(file, "the name is empty; write one, or delete the line", line=number, field="name")
    if not products.isdigit():
        raise FileFormatError(file, f"{products!r} is no number of products", line=number, field="products")
    return ProductType(name, int(products), _split(broader), _split(synonyms))


def _join(name: str) -> str:
    """Return a name without spaces and without the s of plurals: "head phone" and `headphones` are one."""
    return "".join(word.removesuffix("s") for word in name.split())


def _split(cell: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in cell.split("|") if name.strip())


def _check(file: Path, types: Iterable[ProductType]) -> None:
    lines: dict[str, int] = {}
    for number, kind in enumerate(types, 2):
        if kind.name in lines:
            reason = f"'{kind.name}' stands in line {lines[kind.name]} already; delete one of the two"
            raise FileFormatError(file, reason, line=number, field="name")
        lines[kind.name] = number
    for kind in types:
        for name in kind.broader:
            if name not in lines:
                reason = f"the broader type '{name}' has no line of its own; add it, or take it out here"
                raise FileFormatError(file, reason, line=lines[kind.name], field="broader")
