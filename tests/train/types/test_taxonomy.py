"""Taxonomy files of both publishers, whole and broken, each a handful of lines of its own."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from gram_os.errors import FileFormatError, InputError
from gram_os.train.types.taxonomy import Category, Taxonomy, read_taxonomy

SHOPIFY = """# Shopify Product Taxonomy - Categories: 2025-08
# Format: {GID} : {Ancestor name} > ... > {Category name}

gid://shopify/TaxonomyCategory/el     : Electronics
gid://shopify/TaxonomyCategory/el-1   : Electronics > Computers
gid://shopify/TaxonomyCategory/el-1-2 : Electronics > Computers > Laptops & 2-in-1s
"""
GOOGLE = """# Google_Product_Taxonomy_Version: 2021-09-21
222 - Electronics
278 - Electronics > Computers
328 - Electronics > Computers > Laptops
"""
PLAIN = """# Google_Product_Taxonomy_Version: 2021-09-21
Electronics
Electronics > Video
Electronics > Video > 3D Glasses
"""
ROW = "gid://shopify/TaxonomyCategory/"


def _write(folder: Path, name: str, text: str) -> Path:
    data = text.encode()
    path = folder / name
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def _paths(taxonomy: Taxonomy) -> list[str]:
    return [" > ".join(category.path) for category in taxonomy]


@pytest.mark.parametrize("name", ["categories.en.txt", "categories.en.txt.gz", "categories.en-GB.txt"])
def test_shopify_form(tmp_path: Path, name: str) -> None:
    _write(tmp_path, name, SHOPIFY)
    assert _paths(read_taxonomy(tmp_path)) == [
        "Electronics",
        "Electronics > Computers",
        "Electronics > Computers > Laptops & 2-in-1s",
    ]


@pytest.mark.parametrize(
    ("name", "text", "last"),
    [
        ("taxonomy-with-ids.en-US.txt", GOOGLE, ("Electronics", "Computers", "Laptops")),
        ("taxonomy-with-ids.en-US.txt", GOOGLE.partition("\n")[2], ("Electronics", "Computers", "Laptops")),
        ("taxonomy.en-US.txt", PLAIN, ("Electronics", "Video", "3D Glasses")),
        ("taxonomy.en-US.txt", PLAIN.partition("\n")[2], ("Electronics", "Video", "3D Glasses")),
        ("taxonomy.en-US.txt.gz", PLAIN.replace("\n", "\r\n"), ("Electronics", "Video", "3D Glasses")),
    ],
)
def test_google_forms(tmp_path: Path, name: str, text: str, last: tuple[str, ...]) -> None:
    _write(tmp_path, name, text)
    taxonomy = read_taxonomy(tmp_path)
    assert len(taxonomy) == 3
    assert taxonomy.categories[-1] == Category(last)
    assert (taxonomy.categories[-1].name, taxonomy.categories[-1].parent) == (last[-1], last[:-1])


def test_files_of_both_publishers_are_joined_and_other_files_left_alone(tmp_path: Path) -> None:
    _write(tmp_path, "categories.en.txt.gz", SHOPIFY)
    _write(tmp_path, "taxonomy-with-ids.en-US.txt", GOOGLE)
    _write(tmp_path, "taxonomy.en-US.txt", PLAIN)
    _write(tmp_path, "categories.de.txt", f"{ROW}el : Elektronik\n")
    _write(tmp_path, "attribute_values.en.txt", "gid://shopify/TaxonomyValue/1 : Black [Color]\n")
    _write(tmp_path, "LICENSE", "MIT License\n")
    taxonomy = read_taxonomy(tmp_path)
    assert len(taxonomy) == 6  # Electronics and Computers stand in several files
    assert taxonomy.children(("Electronics",)) == [
        Category(("Electronics", "Computers")),
        Category(("Electronics", "Video")),
    ]
    assert _paths(read_taxonomy(tmp_path, "de")) == ["Elektronik"]


def test_a_file_by_its_name(tmp_path: Path) -> None:
    assert len(read_taxonomy(_write(tmp_path, "of_my_own.txt", SHOPIFY))) == 3


@pytest.mark.parametrize(
    ("text", "line", "field", "words"),
    [
        (
            f"{ROW}a : Toys\n{ROW}b : Toys >  > Dolls\n",
            2,
            "path",
            "element 2 of 'Toys >  > Dolls' is empty; write a name",
        ),
        (f"{ROW}a : Toys\n{ROW}b : \n", 2, "path", "element 1 of '' is empty"),
        (f"# x\n{ROW}a : Toys\n{ROW}b Toys > Dolls\n", 3, "id", "has no id and no ' : ' before the path"),
        (f"{ROW}a : Toys\nToys > Dolls\n", 2, "id", "'Toys > Dolls' has no id"),
        (
            f"{ROW}a : Toys\n{ROW}b : Toy > Dolls\n",
            2,
            "path",
            "the parent 'Toy' of 'Dolls' stands in no line; add its line",
        ),
        ("1 - Toys\n2 - Toys > \n", 2, "path", "element 2 of 'Toys >' is empty"),
        ("1 - Toys\nToys > Dolls\n", 2, "id", "has no number and no ' - ' before the path"),
        ("Toys\nToys > Dolls > > Barbie\n", 2, "path", "element 3"),
        ("Toys\nToys > " + "x" * 121, 2, "path", "element 2 has 121 characters, at most 120"),
        ("id,title,category\n1,Doll,Toys > Dolls\n", 1, None, "the file is no taxonomy; Shopify's lines read"),
        ("id\ttitle\n1\tDoll\n", 1, None, "the file is no taxonomy"),
        ('{"id": 1}\n', 1, None, "the file is no taxonomy"),
        ("<!doctype html>\n", 1, None, "the file is no taxonomy"),
        ("A letter to a friend.\n\nIt was long.\n", 1, None, "no line holds a path below another line's"),
        ("# Shopify\n\n", None, None, "holds no category; Shopify's lines read"),
        ("", None, None, "is empty; take the file as Shopify or Google publishes it"),
    ],
)
def test_broken_files(tmp_path: Path, text: str, line: int | None, field: str | None, words: str) -> None:
    path = _write(tmp_path, "categories.en.txt", text)
    with pytest.raises(FileFormatError) as caught:
        read_taxonomy(tmp_path)
    assert (caught.value.path, caught.value.line, caught.value.field) == (path, line, field)
    assert words in str(caught.value)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "categories.en.txt"
    path.write_bytes(f"{ROW}a : Toys\n{ROW}b : Toys > Pi".encode() + b"\xf1atas\n")
    with pytest.raises(FileFormatError, match=r"line 2: byte 0xf1 at position .* is not UTF-8; save the file as UTF-8"):
        read_taxonomy(tmp_path)


@pytest.mark.parametrize(("data", "words"), [(b"cut", "is cut off or damaged"), (b"plain", "is not gzip")])
def test_damaged_gzip(tmp_path: Path, data: bytes, words: str) -> None:
    whole = gzip.compress(SHOPIFY.encode())
    (tmp_path / "categories.en.txt.gz").write_bytes(whole[:-20] if data == b"cut" else SHOPIFY.encode())
    with pytest.raises(FileFormatError, match=words):
        read_taxonomy(tmp_path)


def test_a_folder_without_category_files(tmp_path: Path) -> None:
    _write(tmp_path, "categories.de.txt", SHOPIFY)
    expected = (
        r"holds no category file of the language 'en'; looked for categories.en.txt, taxonomy.en-\*.txt, "
        r"taxonomy-with-ids.en-\*.txt \(each also .gz\), found categories.de.txt; download"
    )
    with pytest.raises(FileFormatError, match=expected):
        read_taxonomy(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        read_taxonomy(tmp_path / "nowhere")
