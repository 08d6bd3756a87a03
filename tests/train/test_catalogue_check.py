"""Catalogues that nothing can be learned from are refused at once, and in no other case."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from gram_os.catalogue import Product
from gram_os.errors import InputError
from gram_os.train.catalogue_check import check_catalogue
from gram_os.train.mining.catalogue import mine
from gram_os.train.recipe import MiningRecipe
from tests.command import run

COLOURS = ({"colour": "red"}, {"colour": "blue"})
OWN_WORDS = [f"{'abcdefgh'[n % 8] * 4}{'klmnopqr'[n // 8] * 3}" for n in range(64)]  # no two share one


def _products(titles: Sequence[str], fields: Sequence[Mapping[str, str]] = ({},)) -> list[Product]:
    return [Product(str(n), title, fields[n % len(fields)]) for n, title in enumerate(titles)]


@pytest.mark.parametrize(
    ("titles", "says"),
    [
        (["lamp"] * 5, "5 products are too few"),
        ([str(1000 + 7 * n) for n in range(60)], "none of the 60 titles holds a word (that of product '0' is '1000')"),
        (["***", "12,5", "x464", "<b>&nbsp;</b>"] * 20, "none of the 80 titles holds a word"),
        (["red lamp", "47", "48"] * 20, "20 of the 60 titles hold a word (that of product '1' is '47')"),
        (OWN_WORDS, "no word and no attribute is in 3 of the 64 products"),
    ],
)
def test_what_nothing_can_be_learned_from_is_refused(titles: list[str], says: str) -> None:
    with pytest.raises(InputError) as refused:
        check_catalogue(_products(titles), MiningRecipe())
    assert says in str(refused.value)


@pytest.mark.parametrize(
    "titles",
    [
        ["lamp"] * 50,
        ["ガラス コップ", "電球 白"] * 30,
        ["किताब", "थैला लाल"] * 30,
        ["หลอดไฟ สีขาว"] * 60,
        ["лампа 5", "стол"] * 30,
        ["مصباح أبيض"] * 60,
        ["<p>Desk&nbsp;lamp</p>"] * 60,
        ["lamp 12"] * 50 + ["47"] * 500,
        ["5 cm", "6 cm", "7 cm"] * 20,
    ],
)
def test_words_of_any_script_are_enough(titles: list[str]) -> None:
    products = _products(titles)
    check_catalogue(products, MiningRecipe())
    assert mine(products, [[]] * len(products)).dictionary.values


def test_attributes_count_where_no_title_shares_a_word() -> None:
    products = _products(OWN_WORDS, COLOURS)
    check_catalogue(products, MiningRecipe())
    assert mine(products, [[]] * 64).dictionary.values == ("blue", "red")
    with pytest.raises(InputError, match="no attribute"):  # the recipe says that there are none
        check_catalogue(products, MiningRecipe(attributes={}))


@pytest.mark.parametrize("least", [1, 2, 4])
def test_the_recipe_says_how_many_products_must_share_a_word(least: int) -> None:
    products = _products([*OWN_WORDS, *OWN_WORDS[:4]])  # each of four words is in two titles
    if least <= 2:
        check_catalogue(products, MiningRecipe(least_products=least))
    else:
        with pytest.raises(InputError, match="is in 4 of the 68 products"):
            check_catalogue(products, MiningRecipe(least_products=least))
    assert bool(mine(products, [[]] * 68, least_products=least).dictionary.values) == (least <= 2)


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
def test_the_verb_says_so_before_any_stage_runs(options: tuple[str, ...], tmp_path: Path) -> None:
    catalogue = tmp_path / "numbers.jsonl"
    rows = [{"id": f"p{n}", "title": str(n), "name": "Desk lamp"} for n in range(70)]
    catalogue.write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ("train", "--catalogue", str(catalogue), "--out", str(tmp_path / "out"), *options)
    done = run(*words)
    assert done.code == 2
    assert "none of the 70 titles holds a word (that of product 'p0' is '0')" in done.err
    assert "--title-field" in done.err
    assert not (tmp_path / "out").exists()
    assert run(*words, "--json").code == 2
