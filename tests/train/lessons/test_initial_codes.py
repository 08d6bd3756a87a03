"""Codes through clicks on twelve products: supports, limits and shares that can be counted by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log

import pytest

from gram_os.errors import InputError
from gram_os.train.lessons.clicks import Feedback, Pair
from gram_os.train.lessons.code_report import report_codes
from gram_os.train.lessons.initial_codes import InitialCodes, TransferSettings, transfer_codes
from gram_os.train.lessons.targets import Target
from gram_os.train.mining.catalogue import MinedCatalogue, mine
from tests.train.catalogues import PRODUCTS, SPANS

PLACES = {product.id: at for at, product in enumerate(PRODUCTS)}


def _idf(products: int) -> float:
    return log(1 + (12 - products + 0.5) / (products + 0.5))


RARE, COMMON = _idf(3), _idf(6)  # pavilion, silver, canon, cyan; hp, laptop, black, toner


@pytest.fixture(scope="module")
def mined() -> MinedCatalogue:
    return mine(PRODUCTS, SPANS)


def _transfer(
    mined: MinedCatalogue, pairs: Sequence[Pair], own: Mapping[str, Sequence[str]], **settings: float
) -> InitialCodes:
    columns = {query: [mined.columns[value] for value in values] for query, values in own.items()}
    return transfer_codes(mined, Feedback(tuple(pairs)), columns, TransferSettings(**settings))  # type: ignore[arg-type]


def _shares(mined: MinedCatalogue, target: Target) -> dict[str, float]:
    assert sum(target.shares) == pytest.approx(1)
    assert list(target.codes) == sorted(set(target.codes))
    return {str(mined.dictionary.decode(c)): s for c, s in zip(target.codes, target.shares, strict=True)}


def _clicked(query: str, *products: str, weight: float = 1.0) -> list[Pair]:
    return [Pair(query, product, 1.0, True, weight) for product in products]


def _relative(shares: Mapping[str, float], unit: str) -> dict[str, float]:
    return {code: share / shares[unit] for code, share in shares.items()}


def test_a_querys_values_are_what_its_clicked_products_share_times_rarity(mined: MinedCatalogue) -> None:
    # Clicked: l1 (pavilion, silver) for sure, l3 (pavilion, black) a third as sure.
    pairs = [*_clicked("notebook", "l1", weight=3), *_clicked("notebook", "l3")]
    codes = _transfer(mined, pairs, {"notebook": []}, most_combinations=0)
    found = _relative(_shares(mined, codes.queries["notebook"]), "pavilion")
    expected = {"pavilion": 1, "hp": COMMON / RARE, "laptop": COMMON / RARE, "silver": 0.75}
    assert found == pytest.approx({**expected, "black": 0.25 * COMMON / RARE})


def test_what_products_judged_bad_hold_counts_against_a_value(mined: MinedCatalogue) -> None:
    pairs = [
        *_clicked("notebook", "l1", "l3"),
        Pair("notebook", "l6", 0.2, False),  # hp, laptop, elite, black
        Pair("notebook", "l5", 0.6, False),  # neither clicked nor clearly bad: says nothing of silver
    ]
    codes = _transfer(mined, pairs, {"notebook": []}, most_combinations=0)
    found = _relative(_shares(mined, codes.queries["notebook"]), "pavilion")
    assert found["silver"] == pytest.approx(0.5)
    assert found["black"] == pytest.approx((0.5 - 0.3) * COMMON / RARE)
    assert found["hp"] == pytest.approx((1 - 0.3) * COMMON / RARE)
    assert "elite" not in found


def test_combinations_are_codes_of_the_catalogue_that_enough_clicks_share(mined: MinedCatalogue) -> None:
    pairs = [*_clicked("notebook", "l1", "l2", "l4")]  # pavilion silver, pavilion silver, elite black
    codes = _transfer(mined, pairs, {"notebook": []}, most_combinations=100)
    shares = _shares(mined, codes.queries["notebook"])
    combined = {code for code in shares if " | " in code}
    # Held by all three, by two of three and by one of three; the catalogue's own codes all of them.
    assert {
        "hp | laptop",
        "hp | pavilion",
        "hp | laptop | pavilion",
        "hp | laptop | pavilion | silver",
    } <= combined
    assert not any("elite" in code or "black" in code for code in combined)
    assert set(codes.queries["notebook"].codes) <= set(mined.codes)
    assert shares["hp | pavilion"] / shares["pavilion"] == pytest.approx((COMMON + RARE) / 2 / RARE)
    fine = 2 * COMMON + 2 * RARE
    assert shares["hp | laptop | pavilion | silver"] / shares["pavilion"] == pytest.approx(fine / 4 / RARE)
    wide = _transfer(mined, pairs, {"notebook": []}, most_combinations=100, least_support=0.3)
    assert "elite | hp" in _shares(mined, wide.queries["notebook"])


def test_the_best_values_and_combinations_stay(mined: MinedCatalogue) -> None:
    pairs = _clicked("notebook", "l1", "l2", "l3")
    codes = _transfer(mined, pairs, {"notebook": []}, most_values=2, most_combinations=1)
    # Values: pavilion 1 x RARE = 1.31, silver 2/3 x RARE = .87, hp 1 x COMMON = .69. The two best hold no product type
    # and no brand, so the only combination is one that the titles of l1 and l2 have themselves.
    shares = _shares(mined, codes.queries["notebook"])
    assert set(shares) == {"pavilion", "silver", "hp | laptop | pavilion | silver"}


def test_many_queries_get_what_each_gets_alone(mined: MinedCatalogue) -> None:
    clicked = {f"q{at}": "l1" if at % 2 else "t4" for at in range(600)}
    pairs = [pair for query, product in clicked.items() for pair in _clicked(query, product)]
    codes = _transfer(mined, pairs, dict.fromkeys(clicked, ()))
    for product in ("l1", "t4"):
        alone = _transfer(mined, _clicked("q", product), {"q": []}).queries["q"]
        assert any(len(code) == 2 for code in alone.codes)
        for query, other in clicked.items():
            if other == product:
                assert codes.queries[query].codes == alone.codes
                assert codes.queries[query].shares == pytest.approx(alone.shares)


def test_own_values_count_half_of_one_that_all_clicked_products_hold(mined: MinedCatalogue) -> None:
    codes = _transfer(mined, _clicked("cyan", "l1"), {"cyan": ["cyan"]}, most_combinations=0)
    shares = _shares(mined, codes.queries["cyan"])
    assert shares["cyan"] / shares["pavilion"] == pytest.approx(0.5)


def test_a_title_takes_over_codes_of_the_query_that_clicks_it(mined: MinedCatalogue) -> None:
    # One query hands on its own value and its best code, "laptop" both, to a toner: 1 / (1 + 2) of the mass.
    pairs = _clicked("laptop", "t4")
    codes = _transfer(mined, pairs, {"laptop": ["laptop"]}, own_weight=9, top_codes=1)
    (title,) = codes.titles
    assert title == PLACES["t4"]
    initial = [str(mined.dictionary.decode(code)) for code in mined.initial[title]]
    expected = {code: 2 / 3 / len(initial) for code in initial}
    assert _shares(mined, codes.titles[title]) == pytest.approx({**expected, "laptop": 1 / 3})


def test_a_title_learns_from_its_surest_queries_and_further_ones_add_less(mined: MinedCatalogue) -> None:
    own = {"laptop": ["laptop"], "silver": ["silver"], "elite": ["elite"]}
    pairs = [
        *_clicked("laptop", "t4", weight=3),
        *_clicked("elite", "t4", weight=1),
        *_clicked("silver", "t4", weight=2),
    ]
    codes = _transfer(mined, pairs, own, own_weight=9, top_codes=1, most_queries=2)
    shares = _shares(mined, codes.titles[PLACES["t4"]])
    # Two queries move 2 / (2 + 2) of the mass, by their weights 3 and 2.
    assert shares["laptop"] == pytest.approx(0.5 * 3 / 5)
    assert shares["silver"] == pytest.approx(0.5 * 2 / 5)
    assert "elite" not in shares


def test_every_clicked_pair_shares_a_code_after_the_transfer_and_need_not_before(mined: MinedCatalogue) -> None:
    pairs = [*_clicked("silver", "t4"), *_clicked("elite", "t1", "t2")]
    own = {"silver": ["silver"], "elite": ["elite"]}
    for transfer in (True, False):
        codes = _transfer(mined, pairs, own, transfer=transfer)
        meet = {bool(set(codes.queries[p.query].codes) & set(codes.titles[PLACES[p.product]].codes)) for p in pairs}
        assert meet == {transfer}


def test_without_transfer_each_side_keeps_the_codes_of_its_own_values(mined: MinedCatalogue) -> None:
    pairs = _clicked("hp pavilion", "l1", "t1")
    codes = _transfer(mined, pairs, {"hp pavilion": ["hp", "pavilion"]}, transfer=False)
    shares = _shares(mined, codes.queries["hp pavilion"])
    whole = COMMON + RARE + (COMMON + RARE) / 2
    assert shares == pytest.approx(
        {"hp": COMMON / whole, "pavilion": RARE / whole, "hp | pavilion": (COMMON + RARE) / 2 / whole}
    )
    assert set(codes.titles) == {PLACES["l1"], PLACES["t1"]}
    for place, target in codes.titles.items():
        assert set(target.codes) == set(mined.initial[place])
        assert target.shares == pytest.approx([1 / len(target.codes)] * len(target.codes))


def test_pairs_below_the_limits_of_clicks_and_noise_link_nothing(mined: MinedCatalogue) -> None:
    pairs = [Pair("canon", "t4", 0.9, False), *_clicked("xerox", "t1"), Pair("xerox", "t5", 0.9, False)]
    codes = _transfer(mined, pairs, {"xerox": ["xerox"]})
    assert set(codes.queries) == {"xerox"}
    assert set(codes.titles) == {PLACES["t1"]}
    assert "canon" not in _shares(mined, codes.queries["xerox"])


def test_nothing_clicked_gives_no_codes(mined: MinedCatalogue) -> None:
    assert _transfer(mined, [Pair("canon", "t4", 0.1, False)], {}) == InitialCodes({}, {})


def test_unknown_products_and_queries_without_values_are_named(mined: MinedCatalogue) -> None:
    with pytest.raises(InputError, match=r"product 'x9' of query 'hp'.*restrict"):
        _transfer(mined, _clicked("hp", "x9"), {"hp": ["hp"]})
    with pytest.raises(InputError, match="query 'hp' has clicks but no own values"):
        _transfer(mined, _clicked("hp", "l1"), {})


def test_the_report_by_hand() -> None:
    queries = [Target(((1,), (1, 2)), (0.5, 0.5)), Target(((3,),), (1.0,)), Target(((1, 2, 4),), (1.0,))]
    titles = [
        Target(((1,), (1, 2)), (0.5, 0.5)),
        Target(((1,), (1, 2, 4, 5)), (0.5, 0.5)),
        Target(((1,), (1, 2, 4)), (0.5, 0.5)),
    ]
    report = report_codes(queries, titles)
    # Titles a code: (1,) 3, (1, 2) 1, (1, 2, 4, 5) 1, (1, 2, 4) 1.
    assert report.as_dict() == {
        "codes": 5,
        "shared": 3,
        "products_mean": 1.5,
        "products_median": 1,
        "products_most": 3,
        "queries": 3,
        "titles": 3,
        "unshared_queries": 1,
        "query_shares": {"coarse": 3 / 4, "medium": 1 / 4, "fine": 0},
        "title_shares": {"coarse": 4 / 6, "medium": 1 / 6, "fine": 1 / 6},
    }
    rows = dict(report.rows())
    assert rows["queries without a shared code"] == "1"
    assert rows["query codes coarse / medium / fine"] == "75.0 % / 25.0 % / 0.0 %"
