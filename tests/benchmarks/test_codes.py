"""The measures of codes: their arithmetic on a few products, judged samples, category paths, and a run in memory."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from benchmarks.code_labels import CODES_FILE, TYPES_FILE, draw_samples, measure_labels, read_labels
from benchmarks.code_measures import CodedProduct, Facts, measure_codes, measure_facets, measure_wrong
from benchmarks.codes import code_catalogue, main, measure_categories
from gram_os.catalogue import Product
from gram_os.errors import FileFormatError, InputError
from gram_os.text.attribute import AttributeType
from gram_os.text.code import Code
from gram_os.text.normalise import Normaliser
from gram_os.train.types.taxonomy import Category, Taxonomy
from tests.bundles import make_bundle, make_generator

T = AttributeType
NORMALISER = Normaliser({"acm": "acme", "cabl": "cable"})
FACTS = Facts(NORMALISER, {"brand": T.BRAND, "colour": T.COLOUR})


def _coded(
    codes: Sequence[str], title: str = "Cable", *, number: int = 0, fields: Mapping[str, object] | None = None,
    **attributes: Sequence[str],
) -> CodedProduct:  # fmt: skip
    product = Product(f"p{number}", title, fields or {})
    return CodedProduct(product, tuple(Code.parse(code) for code in codes), attributes)


def _figures(products: Sequence[CodedProduct]) -> dict[str, float]:
    return {measure.name: measure.value for measure in measure_codes(products, FACTS)}


def test_codes_are_counted_by_their_lengths() -> None:
    figures = _figures(
        [
            _coded(["cable", "acme | cable", "acme | cable | red"], product_type=["cable"]),
            _coded(["cable"], product_type=["cable"]),
            _coded(["acme | red"]),
            _coded([]),
        ]
    )
    assert figures["codes.most"] == 3
    assert figures["codes.mean"] == (3 + 1 + 1) / 4
    assert figures["products.code_of_2_attributes"] == 2 / 4
    assert figures["products.code_of_3_attributes"] == 1 / 4
    assert figures["products.product_type"] == 2 / 4


def test_a_value_is_true_when_a_field_or_a_text_holds_it() -> None:
    product = Product("1", "Black-white cable", {"tags": [{"colour": "Light Grey"}], "n": 5, "gram_v1": {"x": "pink"}})
    held = [
        value for value in ("black", "light grey", "white", "grey light", "pink", "5") if FACTS.holds(product, value)
    ]
    assert held == ["black", "light grey", "white"]


def test_a_brand_that_nothing_holds_is_wrong() -> None:
    acme = [_coded(["acme | cable"], number=at, fields={"brand": "Acme"}, brand=["acme"]) for at in range(5)]
    rare = _coded(["rare | cable"], number=6, fields={"brand": "Rare"})
    wrong = [_coded(["acme | cable"], number=7), _coded(["cable"], number=8, brand=["acme"])]
    fine = [_coded(["acme | cable"], "Cable for Acme", number=9), _coded(["rare | cable"], number=10)]
    assert measure_wrong([*acme, rare, *wrong, *fine], FACTS, T.BRAND) == 2 / 10  # one product makes no brand
    assert measure_wrong(acme[:4] + wrong, FACTS, T.BRAND) == 0  # four are too few


def test_facets_count_products_by_value() -> None:
    red = [_coded([], "Red cable", number=at, colour=["red"]) for at in range(3)]
    blue = [_coded([], "Cable", number=at, colour=["blue", "red"]) for at in range(2)]
    assert measure_facets([*red, *blue], FACTS, T.COLOUR) == 3 / 7
    assert measure_facets([_coded([])], FACTS, T.COLOUR) == 1


def test_a_drawn_sample_is_judged_and_read_again(tmp_path: Path) -> None:
    products = [
        _coded(["cable", f"acme | c{at}"], f"Cable\t{at}", number=at, product_type=["cable", "wire"]) for at in range(5)
    ]
    files = draw_samples(products, 4, 7, tmp_path)
    assert [file.name for file in files] == [TYPES_FILE, CODES_FILE]
    lines = files[0].read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + 4
    assert lines[1].split("\t")[1:3] == ["cable", ""]
    with pytest.raises(FileFormatError, match="judge it"):
        read_labels(files[0])
    with pytest.raises(FileFormatError, match="there already"):
        draw_samples(products, 4, 7, tmp_path)
    again = draw_samples(products, 4, 7, tmp_path / "again")
    assert again[1].read_text(encoding="utf-8") == files[1].read_text(encoding="utf-8")


def test_judged_rows_count_as_long_as_they_apply(tmp_path: Path) -> None:
    products = [_coded(["cable", "acme | cable"], number=at, product_type=["cable"]) for at in range(3)]
    rows = ["product_id\ttype\tright\ttitle", "p0\tcable\t1\tCable", "p1\tcable\t0\t", "p2\tlamp\t0", "gone\tcable\t1"]
    (tmp_path / TYPES_FILE).write_text("\n".join(rows) + "\n", encoding="utf-8")
    rows = ["product_id\tcode\ttrue", "p0\tacme | cable\t1", "p0\tacme | red\t0"]
    (tmp_path / CODES_FILE).write_text("\n".join(rows) + "\n", encoding="utf-8")
    figures = {measure.name: measure.value for measure in measure_labels(products, tmp_path)}
    assert figures == {
        "types_by_eye.right": 1 / 2,
        "types_by_eye.right.rows": 2,
        "types_by_eye.right.rows_gone": 2,
        "codes_by_eye.true": 1,
        "codes_by_eye.true.rows": 1,
        "codes_by_eye.true.rows_gone": 1,
    }
    assert measure_labels(products, tmp_path / "nothing") == []


@pytest.mark.parametrize("row", ["p0\tcable\t2", "p0\tcable", "\tcable\t1"])
def test_a_broken_sample_is_named(tmp_path: Path, row: str) -> None:
    file = tmp_path / TYPES_FILE
    file.write_text(f"product_id\ttype\tright\n{row}\n", encoding="utf-8")
    with pytest.raises(FileFormatError, match="line 2"):
        read_labels(file)
    file.write_text("id\ttype\tright\n", encoding="utf-8")
    with pytest.raises(FileFormatError, match="first line"):
        read_labels(file)


def test_types_are_compared_with_category_paths() -> None:
    taxonomy = Taxonomy((Category(("Furniture", "Beds & Cots")), Category(("Cables", "Patch Cables"))))
    paths: list[tuple[str, object]] = [
        ("mattress", ["Home", "Mattresses & Box Springs", "Foam"]),  # a part of the last element but one
        ("home", ["Home", "Mattresses", "Foam"]),  # the third from the end
        ("cable", "Computers > Cables > Patch Cables"),
        ("cot", ["Furniture", "Beds"]),  # the taxonomy calls them the same
        ("lamp", ["Home", "Cables"]),
        ("lamp", []),  # no path: left out
    ]
    products = [
        _coded([], number=at, fields={"category": path}, product_type=[kind, "cable"])
        for at, (kind, path) in enumerate(paths)
    ]
    share, any_share, count = measure_categories(products, "category", taxonomy, NORMALISER)
    assert (share.value, any_share.value, count.value) == (3 / 5, 4 / 5, 5)  # the lamp is a cable too
    with pytest.raises(InputError, match="no product has a category path"):
        measure_categories(products, "kind", taxonomy, NORMALISER)


def test_a_catalogue_is_coded_in_memory(tmp_path: Path) -> None:
    generator = make_generator(tmp_path / "bundle")
    coded = list(code_catalogue(generator, [Product("1", "Xerox toner black", {}), Product("2", "HP mouse", {})]))
    assert [one.product.id for one in coded] == ["1", "2"]
    assert coded[0].type == "toner"
    assert Code.parse("black | toner | xerox") in coded[0].codes


def test_a_fault_is_named_and_not_traced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_bundle(tmp_path / "bundle")
    assert main(["--bundle", str(tmp_path / "nothing")]) != 0
    assert "codes.py: " in capsys.readouterr().err


def test_the_shipped_bundle_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    catalogue = tmp_path / "products.jsonl"
    rows = [{"id": str(at), "title": f"HP {at} toner cartridge black", "supplier": "HP"} for at in range(6)]
    catalogue.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    main(["--catalogue", str(catalogue), "--labels", str(tmp_path), "--json"])
    figures = {row["name"]: row for row in json.loads(capsys.readouterr().out)["measures"]}
    assert figures["codes.most"]["holds"]
    assert figures["products.code_of_3_attributes"]["value"] == 1
    assert figures["facets.brand.precision"]["value"] == 1
    assert main(["--catalogue", str(catalogue), "--draw", "3", "--out", str(tmp_path / "drawn")]) == 0
    assert len((tmp_path / "drawn" / TYPES_FILE).read_text(encoding="utf-8").splitlines()) == 4
