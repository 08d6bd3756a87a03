"""Category paths out of the text files of Shopify's and Google's product taxonomies.

Knows the forms of these files. Knows nothing of products, and nothing of what the words of a name mean.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gram_os.errors import FileFormatError, InputError
from gram_os.files.lines import read_lines

#: What stands between the elements of a path, in both forms.
_ARROW: Final = ">"
_SHOPIFY_ID: Final = "gid://"
_SHOPIFY_LINE = re.compile(r"gid://shopify/TaxonomyCategory/(?P<id>\S+?)\s*:(?:\s+|$)(?P<path>.*)")
_GOOGLE_HEADER = re.compile(r"#\s*Google_Product_Taxonomy_Version\b", re.IGNORECASE)
_GOOGLE_ID = re.compile(r"(?P<id>\d+)\s+-(?:\s+|$)")
# A line of a CSV or TSV file, of JSON, of XML or of a web page.
_FOREIGN_LINE = re.compile(r'\t|;|^[{\[<"]|^[^>]*,\S')
_LONGEST_NAME: Final = 120  # characters; the longest of both taxonomies has 66

_FORMS: Final = (
    "Shopify's lines read 'gid://shopify/TaxonomyCategory/ID : A > B > C', Google's '1 - A > B > C' or 'A > B > C'"
)
_CURE: Final = "take the file as Shopify or Google publishes it"


@dataclass(frozen=True, slots=True)
class Category:
    """One category of a taxonomy.

    path: the names from the root to the category itself, as the file writes them.

    >>> Category(("Electronics", "Computers", "Laptops")).name
    'Laptops'
    """

    path: tuple[str, ...]

    @property
    def name(self) -> str:
        """The category's own name, the last element of its path."""
        return self.path[-1]

    @property
    def parent(self) -> tuple[str, ...]:
        """The path of the next broader category. It is empty for a root."""
        return self.path[:-1]


@dataclass(frozen=True, slots=True)
class Taxonomy:
    """All categories of one or more files, in the order of the files. Each path stands once.

    >>> taxonomy = Taxonomy((Category(("Electronics",)), Category(("Electronics", "Computers"))))
    >>> len(taxonomy), [category.name for category in taxonomy.children(("Electronics",))]
    (2, ['Computers'])
    """

    categories: Sequence[Category]

    def __len__(self) -> int:
        return len(self.categories)

    def __iter__(self) -> Iterator[Category]:
        return iter(self.categories)

    def children(self, path: tuple[str, ...]) -> list[Category]:
        """Return the categories one level below a path. The empty path has the roots."""
        return [category for category in self.categories if category.parent == path]


def read_taxonomy(folder: Path, language: str = "en") -> Taxonomy:
    """Read the categories of one language out of a folder of taxonomy files. One file is accepted too.

    For the language `en`, a folder's files `categories.en.txt` (Shopify), `taxonomy.en-US.txt` and
    `taxonomy-with-ids.en-US.txt` (Google) are read, each also as `.gz`. Any region will do, or none. All other files
    are left alone. Where `folder` is a file, it is read whatever its name and language are.

    Raises InputError where the folder does not exist or holds no such file. Raises FileFormatError for a file that
    cannot be used, with the line, the field and the cure.
    """
    if folder.is_dir():
        files = _find_files(folder, language)
    elif folder.exists():
        files = [folder]
    else:
        raise InputError(f"{folder} does not exist (looked from {Path.cwd()}); give a folder of taxonomy files")
    paths = (path for file in files for path in _read_file(file))
    return Taxonomy(tuple(Category(path) for path in dict.fromkeys(paths)))


def _find_files(folder: Path, language: str) -> list[Path]:
    region = rf"{re.escape(language)}(?:[-_][a-z0-9]+)*"
    wanted = re.compile(rf"(?:categories|taxonomy[\w-]*)\.{region}\.txt(?:\.gz)?", re.IGNORECASE)
    files = sorted(path for path in folder.iterdir() if path.is_file() and wanted.fullmatch(path.name))
    if not files:
        names = (f"categories.{language}.txt", f"taxonomy.{language}-*.txt", f"taxonomy-with-ids.{language}-*.txt")
        found = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
        raise FileFormatError(
            folder,
            f"holds no category file of the language '{language}'; looked for {', '.join(names)} (each also .gz), "
            f"found {found}; download one of these from Shopify or Google",
        )
    return files


def _read_file(file: Path) -> Iterator[tuple[str, ...]]:
    """Yield the paths of one file. The first line that is no comment decides which form the file has."""
    shopify: bool | None = None
    is_google = False
    numbered: bool | None = None
    lines: dict[tuple[str, ...], int] = {}
    if file.stat().st_size == 0:
        raise FileFormatError(file, f"is empty; {_CURE}")
    for line, raw in read_lines(file):
        text = raw.strip()
        if not text or text.startswith("#"):
            is_google = is_google or _GOOGLE_HEADER.match(text) is not None
            continue
        if shopify is None:
            shopify = text.startswith(_SHOPIFY_ID)
            numbered = not shopify and _GOOGLE_ID.match(text) is not None
            _check_first(file, line, text, known=shopify or is_google or bool(numbered))
        path = _split_path(file, line, _cut_id(file, line, text, shopify=shopify, numbered=bool(numbered)))
        lines.setdefault(path, line)
    if not lines:
        raise FileFormatError(file, f"holds no category; {_FORMS}; {_CURE}")
    _check_shape(file, lines, trusted=bool(shopify) or is_google or bool(numbered))
    if shopify:
        _check_parents(file, lines)
    yield from lines


def _check_first(file: Path, line: int, text: str, *, known: bool) -> None:
    """Raise FileFormatError where the first category shows that the file is no taxonomy."""
    if not known and _FOREIGN_LINE.search(text):
        raise FileFormatError(
            file, f"{_quote(text)} is no category: the file is no taxonomy; {_FORMS}; {_CURE}", line=line
        )


def _cut_id(file: Path, line: int, text: str, *, shopify: bool, numbered: bool) -> str:
    """Return a line's path as text."""
    if shopify:
        match = _SHOPIFY_LINE.match(text)
        if match is None:
            raise FileFormatError(
                file,
                f"{_quote(text)} has no id and no ' : ' before the path; a line reads "
                f"'gid://shopify/TaxonomyCategory/ID : A > B > C'; {_CURE}",
                line=line,
                field="id",
            )
        return match["path"]
    match = _GOOGLE_ID.match(text)
    if numbered and match is None:
        raise FileFormatError(
            file,
            f"{_quote(text)} has no number and no ' - ' before the path, as the lines before it have; {_CURE}",
            line=line,
            field="id",
        )
    return text[match.end() :] if numbered and match else text


def _split_path(file: Path, line: int, text: str) -> tuple[str, ...]:
    path = tuple(" ".join(name.split()) for name in text.split(_ARROW))
    for level, name in enumerate(path, start=1):
        if not name:
            raise FileFormatError(
                file,
                f"element {level} of {_quote(text)} is empty; write a name there, or delete the line",
                line=line,
                field="path",
            )
        if len(name) > _LONGEST_NAME:
            raise FileFormatError(
                file,
                f"element {level} has {len(name)} characters, at most {_LONGEST_NAME} are a name; {_CURE}",
                line=line,
                field="path",
            )
    return path


def _check_shape(file: Path, lines: dict[tuple[str, ...], int], *, trusted: bool) -> None:
    """Raise FileFormatError where a file without ids and header is running text: no line in it has a parent."""
    if not trusted and not any(path[:-1] in lines for path in lines if len(path) > 1):
        first = next(iter(lines.items()))
        raise FileFormatError(
            file,
            f"{_quote(' > '.join(first[0]))} is no category: no line holds a path below another line's; "
            f"{_FORMS}; {_CURE}",
            line=first[1],
        )


def _check_parents(file: Path, lines: dict[tuple[str, ...], int]) -> None:
    for path, line in lines.items():
        if len(path) > 1 and path[:-1] not in lines:
            raise FileFormatError(
                file,
                f"the parent '{' > '.join(path[:-1])}' of '{path[-1]}' stands in no line; add its line, or {_CURE}",
                line=line,
                field="path",
            )


def _quote(text: str) -> str:
    return f"'{text[:60]}...'" if len(text) > 60 else f"'{text}'"
