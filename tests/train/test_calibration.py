"""From which probability a generated value counts as an attribute: figures that a reader can add up again."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

import gram_os
from gram_os.arrays import FloatArray
from gram_os.catalogue import Product, read_products
from gram_os.data import sample_file
from gram_os.model.bundle import ValueThreshold
from gram_os.model.generator import Generator
from gram_os.text.attribute import AttributeType as T
from gram_os.text.attribute import Side
from gram_os.text.dictionary import AttributeDictionary
from gram_os.text.own_values import field_values, product_values
from gram_os.train.calibration import PRECISION, _find_threshold, calibrate
from tests.bundles import VALUES, make_bundle
from tests.fakes import Prefix, TableModel

# ---- the threshold of some answers


def _threshold(**fields: Any) -> ValueThreshold:
    """Make a threshold whose fields may be approximate."""
    return ValueThreshold.model_construct(**fields)


def test_without_a_wrong_value_all_values_pass() -> None:
    answers = [(0.5 + at / 100, True) for at in range(20)]
    assert _find_threshold(answers) == ValueThreshold(least=0.5, precision=1, values=20)


def test_the_least_probability_at_which_19_of_20_values_are_right() -> None:
    right = [(0.9 - at / 1000, True) for at in range(38)]
    answers = [*right, (0.8, False), (0.79, False), (0.78, False)]
    assert _find_threshold(answers) == ValueThreshold(least=0.79, precision=0.95, values=40)
    assert _find_threshold(reversed(answers)) == _find_threshold(answers)  # their order says nothing


def test_wrong_values_at_the_top_are_outweighed_by_many_right_ones_below() -> None:
    answers = [(0.9, False), (0.8, False), *((0.7 - at / 1000, True) for at in range(40))]
    assert _find_threshold(answers) == _threshold(least=pytest.approx(0.661), precision=0.9524, values=42)
    assert _find_threshold(answers[:-5]) is None  # 35 of 37


@pytest.mark.parametrize(
    "answers",
    [
        [],
        [(0.9 - at / 100, True) for at in range(19)],  # too few
        [(0.9 - at / 100, at % 10 > 0) for at in range(60)],  # 90 % are right at each probability
        [(0.9 - at / 100, False) for at in range(60)],
    ],
)
def test_few_or_wrong_values_have_no_threshold(answers: list[tuple[float, bool]]) -> None:
    assert _find_threshold(answers) is None


def test_values_of_one_probability_pass_together_or_not_at_all() -> None:
    assert _find_threshold([(0.9, True)] * 20 + [(0.9, False)] * 20) is None


@pytest.mark.parametrize("right", [0.02004, 0.02006])
def test_small_probabilities_are_told_apart(right: float) -> None:
    found = _find_threshold([(right, True)] * 20 + [(0.02001, False)] * 20)
    assert found is not None
    assert 0.02001 < found.least <= right


# ---- the thresholds of a bundle, whose model likes one brand and one colour


@dataclass(slots=True)
class _Likes(TableModel):
    """Says of each text that it begins with Xerox, to .4 and the number in the title / 10,000; or with black."""

    def next_log_probs(self, text: str, side: Side, prefix: Prefix) -> FloatArray:
        xerox = 0.4 + _number(text) / 10_000
        others = dict.fromkeys(VALUES, 0.01) | {"xerox": 0.0, "black": 0.3}
        scale = (1 - xerox) / (sum(others.values()) + 0.01)
        found = [xerox if value == "xerox" else scale * other for value, other in others.items()]
        logs: FloatArray = np.log([*found, scale * 0.01]).astype(np.float32)
        return logs


def _number(title: str) -> int:
    return int(title.split()[-1])


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    """Return a generator whose titles get the two likeliest values, "xerox" and "black"."""
    bundle = make_bundle(tmp_path_factory.mktemp("bundle"), title_values=2)
    alone = bundle.manifest.model_copy(update={"title_codes": 1})
    return Generator(replace(bundle, manifest=alone), _Likes(len(VALUES)))


def _products(count: int, title: str = "zebra", **fields: object) -> list[Product]:
    return [Product(str(at), f"{title} {at}", fields) for at in range(count)]


def test_values_that_fields_state_are_right(generator: Generator) -> None:
    found = calibrate(generator, _products(40, brand="Xerox"))
    assert found.keys() == {T.BRAND}  # no field states a colour, so nobody knows whether "black" is wrong
    assert found[T.BRAND] == _threshold(least=pytest.approx(0.4), precision=1, values=40)


def test_values_that_no_field_states_are_wrong(generator: Generator) -> None:
    assert calibrate(generator, _products(40, brand="Okapi")) == {}
    unlikely = _products(10, brand="Okapi")
    likely = [
        Product(product.id, f"zebra {_number(product.title) + 10}", {"brand": "Xerox"}) for product in _products(30)
    ]
    assert calibrate(generator, [*unlikely, *likely]) == {
        T.BRAND: _threshold(least=pytest.approx(0.4009, abs=5e-5), precision=0.9677, values=31)
    }


def test_values_that_another_text_states_are_right(generator: Generator) -> None:
    found = calibrate(generator, _products(40, brand="Okapi", description="It fits Xerox"))
    assert found == {T.BRAND: _threshold(least=pytest.approx(0.4), precision=1, values=40)}


def test_values_that_the_title_states_are_not_counted(generator: Generator) -> None:
    assert calibrate(generator, _products(40, "Xerox zebra", brand="Xerox")) == {}
    few = [*_products(19, brand="Xerox"), *_products(30, "Xerox zebra", brand="Xerox")]
    assert calibrate(generator, few) == {}


def test_the_title_alone_is_coded(generator: Generator) -> None:
    # With its fields a product would have "xerox" as a value of its own, and nothing would be counted.
    (coded,) = generator.code_batch(_products(1, brand="Xerox"))
    assert [scored.own for scored in coded.weights if str(scored.code) == "xerox"] == [True]
    assert calibrate(generator, _products(20, brand="Xerox")).keys() == {T.BRAND}


class _LikesMice(_Likes):
    """Says of each text what `_Likes` says, with mouse in the place of Xerox."""

    def next_log_probs(self, text: str, side: Side, prefix: Prefix) -> FloatArray:
        logs = _Likes.next_log_probs(self, text, side, prefix)
        xerox, mouse = (list(VALUES).index(value) for value in ("xerox", "mouse"))
        logs[[xerox, mouse]] = logs[[mouse, xerox]]
        return logs


@pytest.mark.parametrize(("kind", "expected"), [(T.PRODUCT_TYPE, set()), (T.STYLE, {T.STYLE})])
def test_what_a_product_is_has_no_threshold(generator: Generator, kind: T, expected: set[T]) -> None:
    bundle = generator.bundle
    kinds = {value: kind if value == "mouse" else known for value, known in VALUES.items()}
    dictionary = AttributeDictionary(tuple(kinds), tuple(kinds.values()), (1,) * len(kinds))
    manifest = bundle.manifest.model_copy(update={"attributes": {"kind": kind}})
    other = replace(bundle, manifest=manifest)
    other.__dict__["dictionary"] = dictionary  # it is read from the folder otherwise
    products = _products(40, kind="mouse")
    assert calibrate(Generator(other, _LikesMice(len(VALUES))), products).keys() == expected


def test_of_many_products_1000_at_most_are_coded(generator: Generator) -> None:
    assert calibrate(generator, _products(2500, brand="Xerox"))[T.BRAND].values <= 1000


def test_no_products_give_no_threshold(generator: Generator) -> None:
    assert calibrate(generator, []) == {}


# ---- the shipped bundle


def test_the_stated_share_of_the_samples_values_is_right() -> None:
    shipped = gram_os.load_generator()
    everything = read_products(sample_file("products.jsonl.gz"))
    products = [product for product in everything if "headphones" in product.title or "notebook" in product.title][:300]
    thresholds = calibrate(shipped, products)
    assert thresholds
    passed = _pass(shipped, products, thresholds)
    for kind, threshold in thresholds.items():
        right = passed[kind]
        assert min(sum(right) / len(right), threshold.precision) >= PRECISION == 0.95
        # `least` is rounded, so a value at the border may be on either side of it.
        assert sum(right) / len(right) == pytest.approx(threshold.precision, abs=0.05)
        assert len(right) == pytest.approx(threshold.values, rel=0.05)
        assert threshold.values >= 20


def _pass(generator: Generator, products: list[Product], thresholds: dict[T, ValueThreshold]) -> dict[T, list[bool]]:
    """Return which of the values that reach their threshold are right, by the type that the dictionary gives them."""
    bundle, found = generator.bundle, defaultdict(list)
    attributes, normaliser = bundle.manifest.attributes, bundle.normaliser
    titles = [Product(product.id, product.title, {}) for product in products]
    for product, coded in zip(products, generator.code_batch(titles), strict=True):
        fields = dict(field_values(product, attributes, normaliser))
        texts = product_values(product, attributes, normaliser, bundle.dictionary, bundle.manifest.texts)
        for scored in coded.weights:
            kind = generator.type_of(str(scored.code))
            if scored.own or scored.probability is None or kind is None or kind not in fields.values():
                continue
            if kind in thresholds and scored.probability >= thresholds[kind].least:
                found[kind].append(str(scored.code) in {*fields, *texts})
    return found
