"""Everyday words that no title of the sample catalogue holds, with the product types that they mean.

A TSV with the header `word types`; types are separated by `|`. The file is a measure: nothing may be trained on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gram_os.errors import FileFormatError
from gram_os.rows import read_lines

EVERYDAY_WORDS = Path(__file__).with_name("everyday_words.tsv")
COLUMNS = ("word", "types")


@dataclass(frozen=True, slots=True)
class EverydayWord:
    """A word or short phrase, and the names that a catalogue gives the product types that it means."""

    word: str
    types: tuple[str, ...]


def read_everyday_words(path: Path = EVERYDAY_WORDS) -> list[EverydayWord]:
    """Read the words. Raises FileFormatError for a line without a word or a type."""
    words = []
    for line, text in read_lines(path):
        cells = text.rstrip("\r\n").split("\t")
        if line == 1 and tuple(cells) == COLUMNS:
            continue
        types = tuple(name.strip() for name in cells[1].split("|")) if len(cells) == len(COLUMNS) else ()
        if not (cells[0] and types and all(types)):
            raise FileFormatError(path, "a line is word<TAB>type|type|...", line=line)
        words.append(EverydayWord(cells[0], types))
    if not words:
        raise FileFormatError(path, "holds no word")
    return words
