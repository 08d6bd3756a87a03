"""Product feeds in XML: what is read, and what is refused."""

from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import pytest

from gram_os.errors import FileFormatError
from gram_os.rows import Row, read_rows

RSS = """<?xml version="1.0" encoding="UTF-8"?>
<rss xmlns:g="http://base.google.com/ns/1.0" xmlns:dc="http://purl.org/dc/elements/1.1/" version="2.0">
<channel><title>Shop</title><link>https://shop.example</link>
{items}
</channel></rss>
"""


def _rows(folder: Path, text: str | bytes, name: str = "feed.xml") -> list[tuple[int, Row]]:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return list(read_rows(path, required=("id", "title")))


def test_items_of_a_google_feed(tmp_path: Path) -> None:
    item = """<item>
  <g:id>SKU-1</g:id><title>Plain</title><g:title><![CDATA[Pan & pot <24 cm>]]></g:title>
  <description>A &amp; B</description><g:price>9.99 EUR</g:price><g:brand/>
  <g:additional_image_link>a.jpg</g:additional_image_link><g:additional_image_link>b.jpg</g:additional_image_link>
  <g:shipping><g:country>DE</g:country><g:price>4.90 EUR</g:price></g:shipping><dc:creator>Ann</dc:creator>
</item>
<item><g:title>Pot</g:title><title>Other</title><g:id>SKU-2</g:id></item>"""
    assert _rows(tmp_path, RSS.format(items=item)) == [
        (
            4,
            {
                "id": "SKU-1",
                "title": "Pan & pot <24 cm>",
                "description": "A & B",
                "price": "9.99 EUR",
                "additional_image_link": ["a.jpg", "b.jpg"],
                "shipping": {"country": "DE", "price": "4.90 EUR"},
                "dc:creator": "Ann",
            },
        ),
        (10, {"title": "Pot", "id": "SKU-2"}),
    ]


def test_atom_entries(tmp_path: Path) -> None:
    text = (
        '<feed xmlns="http://www.w3.org/2005/Atom" xmlns:g="http://base.google.com/ns/1.0"><title>Shop</title>'
        '<entry><id>tag:1</id><title>Pan</title><link href="https://shop.example/1"/><g:id>1</g:id></entry></feed>'
    )
    wanted = [(1, {"id": "1", "title": "Pan", "link": "https://shop.example/1"})]
    assert _rows(tmp_path, text) == wanted
    assert _rows(tmp_path, gzip.compress(text.encode()), "feed.xml.gz") == wanted


def test_markup_inside_a_text_is_left_out(tmp_path: Path) -> None:
    item = "<item><id>1</id><title>Pan <b>red <i>and</i></b> blue</title></item>"
    assert _rows(tmp_path, RSS.format(items=item))[0][1] == {"id": "1", "title": "Pan red and blue"}


def test_declared_encoding_is_read(tmp_path: Path) -> None:
    text = '<?xml version="1.0" encoding="ISO-8859-1"?><rss><channel><item><id>1</id><title>Kühl</title></item>'
    assert _rows(tmp_path, (text + "</channel></rss>").encode("latin-1"))[0][1]["title"] == "Kühl"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("<products><product><id>1</id></product></products>", "no product feed: its root is <products>"),
        (RSS.format(items=""), "holds no row"),
        (RSS.format(items="<item><g:id>1</id></item>"), "line 4: broken XML at column .*: mismatched tag"),
        ("<rss><channel><item><id>1</id>", "broken XML"),
        ("", "broken XML"),
        ('<!DOCTYPE rss [<!ENTITY a "aaaa">]><rss><channel><item><id>&a;</id></item></channel></rss>', "an entity"),
        ('<!DOCTYPE rss [<!ENTITY a SYSTEM "file:///etc/passwd">]><rss/>', "declares an entity of its own, 'a'"),
        (RSS.format(items="<item><g:id>a&nbsp;b</g:id></item>"), "undefined entity"),
    ],
)
def test_other_xml_is_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(FileFormatError, match=says):
        _rows(tmp_path, text)


def test_memory_stays_flat(tmp_path: Path) -> None:
    path = tmp_path / "feed.xml"
    item = "<item><g:id>%d</g:id><title>" + "x" * 200 + "</title></item>\n"
    path.write_text(RSS.format(items="".join(item % n for n in range(30_000))))
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_rows(path, required=())) == 30_000
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
