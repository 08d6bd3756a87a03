"""Product feeds in XML: RSS and Atom, as Google Merchant takes them. One item is in memory at a time.

Entities of the file's own are refused: a few lines of them can grow to gigabytes. Nothing is fetched from elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NoReturn
from xml.parsers import expat

from gram_os.errors import FileFormatError
from gram_os.files.json_values import Row, Rows
from gram_os.files.lines import MAX_LINE_BYTES, explaining_damage, open_bytes

_CHUNK: Final = 64 * 1024
_GOOGLE: Final = "http://base.google.com/ns/1.0"
# Elements of these namespaces are named without a prefix. Those of others keep theirs: "dc:creator".
_BARE: Final = ("", _GOOGLE, "http://www.w3.org/2005/Atom", "http://purl.org/rss/1.0/")
# The root element -> its element of a product.
_ITEMS: Final = {"rss": "item", "RDF": "item", "feed": "entry"}


@dataclass(slots=True)
class _Element:
    """An element inside an item: its text so far, and what its own elements hold.

    text: its own texts. whole: these and the texts of all elements inside, in their order.
    """

    name: str
    google: bool = False
    text: list[str] = field(default_factory=list)
    whole: list[str] = field(default_factory=list)
    inner: dict[str, object] = field(default_factory=dict)
    from_google: set[str] = field(default_factory=set)
    link: str = ""

    def add(self, child: _Element) -> None:
        """Add a finished element. `g:title` wins over `title`; of one kind, a second value makes a list."""
        self.whole += child.whole
        value = child.value()
        if value is None:
            return
        name = child.name
        known = name in self.from_google
        if known and not child.google:
            return
        if name in self.inner and known == child.google:
            before = self.inner[name]
            self.inner[name] = [*before, value] if isinstance(before, list) else [before, value]
        else:
            self.inner[name] = value
        if child.google:
            self.from_google.add(name)

    def value(self) -> object:
        """Return what the element holds: an object, a text, the address of a link, or None.

        Elements in the midst of a text are its markup: the text is the value.
        """
        if not "".join(self.text).strip():
            return self.inner or self.link or None
        return "".join(self.whole).strip()


class _FeedParser:
    """Takes a feed in chunks and collects its finished items."""

    def __init__(self, path: Path | str) -> None:
        self.items: list[tuple[int, Row]] = []
        self._path = path
        self._root = ""
        self._open: list[_Element] = []
        self._line = self._size = 0
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.namespace_prefixes = True
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._add_text
        self._parser.EntityDeclHandler = self._refuse_entity

    def feed(self, chunk: bytes) -> None:
        """Parse a chunk, b"" at the end. Raises FileFormatError with the line."""
        try:
            self._parser.Parse(chunk, not chunk)
        except expat.ExpatError as error:
            words = f"broken XML at column {error.offset + 1}: {expat.ErrorString(error.code)}"
            raise FileFormatError(self._path, words, line=error.lineno) from error

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        uri, name, prefix = _split_tag(tag)
        if not self._root:
            self._root = name
            if name not in _ITEMS:
                words = f"is XML, but no product feed: its root is <{name}>, not <rss> or <feed>; convert it to CSV"
                raise FileFormatError(self._path, words, line=self._parser.CurrentLineNumber)
        elif self._open:
            shown = name if uri in _BARE else f"{prefix or uri}:{name}"
            self._open.append(_Element(shown, uri == _GOOGLE, link=attributes.get("href", "")))
        elif name == _ITEMS[self._root]:
            self._line, self._size = self._parser.CurrentLineNumber, 0
            self._open.append(_Element(name))

    def _end(self, _: str) -> None:
        if not self._open:
            return
        element = self._open.pop()
        if self._open:
            self._open[-1].add(element)
        else:
            self.items.append((self._line, element.inner))

    def _add_text(self, text: str) -> None:
        if not self._open:
            return
        self._size += len(text)
        if self._size > MAX_LINE_BYTES:
            raise FileFormatError(self._path, "this item is longer than 64 MiB", line=self._line)
        self._open[-1].text.append(text)
        self._open[-1].whole.append(text)

    def _refuse_entity(self, name: str, *_: object) -> NoReturn:
        words = f"declares an entity of its own, '{name}'; write its text where it is used"
        raise FileFormatError(self._path, words, line=self._parser.CurrentLineNumber)


def read_feed(path: Path | str) -> Rows:
    """Stream the items of an RSS or Atom feed, each with the line at which it begins. Every value is text.

    `g:id` and `id` are both `id`, and where an item has both, `g:id` wins. An element with elements of its own, such as
    `g:shipping`, becomes an object, and one that occurs more than once a list. Raises FileFormatError for other XML.
    """
    rows = 0
    for line, row in _parse(path):
        rows += 1
        yield line, row
    if rows == 0:
        raise FileFormatError(path, "holds no row")


def _parse(path: Path | str) -> Iterator[tuple[int, Row]]:
    parser = _FeedParser(path)
    with open_bytes(path) as stream:
        while True:
            with explaining_damage(path):
                chunk = stream.read(_CHUNK)
            parser.feed(chunk)
            yield from parser.items
            parser.items.clear()
            if not chunk:
                return


def _split_tag(tag: str) -> tuple[str, str, str]:
    """Split expat's name of an element into namespace, name and prefix.

    >>> _split_tag("item"), _split_tag("http://base.google.com/ns/1.0 id g")
    (('', 'item', ''), ('http://base.google.com/ns/1.0', 'id', 'g'))
    """
    parts = tag.split(" ")
    if len(parts) == 1:
        return "", tag, ""
    return parts[0], parts[1], parts[2] if len(parts) > 2 else ""
