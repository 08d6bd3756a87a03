"""The memory benchmark: its titles, its stand-in for a cluster, and its readings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.stream_memory import StandIn, TinyModel, draw_titles, make_bundle, measure
from gram_os.catalogue import Product
from gram_os.model.generator import Generator


def test_titles_are_reproducible_and_all_different() -> None:
    titles = list(draw_titles(2500))
    assert titles == list(draw_titles(2500))
    assert len(set(titles)) == len(titles) == 2500
    assert {len(title.split()) for title in titles} == {6}


def test_the_tiny_model_gives_titles_codes(tmp_path: Path) -> None:
    generator = Generator(make_bundle(tmp_path), TinyModel())
    titles = list(draw_titles(70))
    products = [Product(str(at), title, {}) for at, title in enumerate(titles)]
    for title, coded in zip(titles, generator.code_products(products), strict=True):
        assert (
            sum(scored.own for scored in coded.weights) == len(set(title.split())) + 1
        )  # the digits of the part number
        assert 1 <= sum(not scored.own for scored in coded.weights) <= 2


def test_documents_are_produced_when_they_are_read() -> None:
    produced = 0

    def titles() -> Iterator[str]:
        nonlocal produced
        for title in draw_titles(5000):
            produced += 1
            yield title

    documents = StandIn(titles()).scan("i")
    assert next(documents)["_id"] == "0"
    assert produced == 1000


def test_memory_is_read_at_the_given_numbers_of_titles(tmp_path: Path) -> None:
    found = {m.name: m for m in measure([600, 1200], tmp_path)}
    assert found["memory.1200"].value >= found["memory.600"].value > 20
    growth = found["memory.growth"]
    assert growth.value == pytest.approx(found["memory.1200"].value - found["memory.600"].value)
    assert growth.holds
    assert 0.1 < found["memory.written"].value < 1  # 1,200 documents of some hundred bytes


def test_what_is_written_are_bulk_requests() -> None:
    cluster = StandIn([])
    action = {"op": "index", "index": "i", "id": "1", "body": {"a": 1}}
    assert [item.ok for item in cluster.bulk([action, action])] == [True, True]
    assert cluster.written_bytes == 2 * len('{"index":{"_index":"i","_id":"1"}}\n{"a":1}\n')
