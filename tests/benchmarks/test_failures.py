"""Missed products sorted by reason, on a bundle with known values."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.failures import classify, find_misses
from gram_os.catalogue import Judgment, Product
from gram_os.model.coded import ScoredCode
from gram_os.model.generator import Generator
from gram_os.relevance import Ranking, Run
from gram_os.relevance.judgments import JudgmentSet
from gram_os.text.code import Code
from tests.bundles import make_generator

PRODUCTS = [
    Product("1", "black toner", {}),
    Product("2", "red laptop", {}),
    Product("3", "zzz", {}),
    Product("4", "apple", {}),
]


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    return make_generator(tmp_path_factory.mktemp("bundle"))


def _misses(generator: Generator, query: str, product: str, found: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    judged = JudgmentSet.build([Judgment("q", product, 2), Judgment("q", "none", 1)], relevant=2)
    run = Run("gram", {"q": Ranking(found, tuple(-float(at) for at in range(len(found))))})
    return [
        (miss.kind, miss.title, " ".join(miss.shared), " ".join(miss.lacking), miss.first)
        for miss in find_misses(generator, PRODUCTS, {"q": query}, judged, run)
    ]


def test_what_was_found_is_no_miss(generator: Generator) -> None:
    assert _misses(generator, "black toner", "1", ("2", "1")) == []


def test_all_words_some_words(generator: Generator) -> None:
    assert _misses(generator, "black toner", "1", ("2",)) == [
        ("crowded", "black toner", "black toner", "", "red laptop")
    ]
    assert _misses(generator, "black mouse", "1") == [("partly", "black toner", "black", "mouse", "")]


def test_no_word_in_common(generator: Generator) -> None:
    kinds = {_misses(generator, query, "3")[0][0] for query in ("red", "mouse", "xerox")}
    assert kinds <= {"generated", "no link"}
    (miss,) = _misses(generator, "qwxyzt", "3")
    assert miss[0] in ("generated", "unknown word") and miss[3] == "qwxyzt"


def test_an_unknown_word_differs_from_a_word_without_a_link() -> None:
    query_codes = [ScoredCode(Code((value,)), None, own=True) for value in ("black", "qwxyzt")]
    assert classify(query_codes, [], frozenset({"black"})) == "unknown word"
    assert classify(query_codes[:1], [], frozenset({"black"})) == "no link"


def test_a_link_of_generated_codes_alone(tmp_path: Path) -> None:
    everything = make_generator(tmp_path / "all", query_values=11, title_values=11)
    assert _misses(everything, "mouse", "3")[0][0] == "generated"
