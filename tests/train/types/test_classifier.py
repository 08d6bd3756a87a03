"""What the classifier of types reads of a product, and how sure it may be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from gram_os.arrays import FloatArray
from gram_os.train.lessons.teach import other_texts
from gram_os.train.types.classifier import answer_types, read_context
from gram_os.train.types.lexicon import TypeLexicon, TypeSources
from tests.train.typed_catalogue import Row, make_encoder, make_thesaurus, mine_rows

NOUNS = make_thesaurus(dict.fromkeys("battery case notebook".split(), ""))  # noqa: SIM905
embed = make_encoder(["notebook elitebook", "case messenger", "battery cell"])
OTHERS: list[Row] = [
    (f"Zebu EliteBook {name} {at} in", "Zebu", name) for at in range(6) for name in ("case", "notebook")
]


def _read(rows: Sequence[Row], fields: Sequence[Mapping[str, object]] = ()) -> FloatArray:
    """Return what the classifier reads of some products beside `OTHERS`."""
    mined = mine_rows([*rows, *OTHERS], [*fields, *[{}] * len(OTHERS)] if fields else ())
    lexicon = TypeLexicon(mined, TypeSources(thesaurus=NOUNS))
    names = [{found.name for found in lexicon.find_candidates(place)} for place in range(len(mined.products))]
    return read_context(mined, names, other_texts(mined), embed)[: len(rows)]


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("Zebu EliteBook notebook, black", "Zebu EliteBook case, black", True),
        ("Zebu EliteBook notebooks, black", "Zebu EliteBook notebook case, black", True),
        ("Zebu EliteBook notebook, black", "Zebu messenger notebook, black", False),
    ],
)
def test_the_classifier_does_not_read_the_names_in_a_title(one: str, other: str, *, equal: bool) -> None:
    first, second = _read([(one, "Zebu", ""), (other, "Zebu", "")])
    assert np.allclose(first, second, atol=1e-5) is equal


def test_the_classifier_reads_which_fields_are_filled() -> None:
    rows: list[Row] = [("Zebu EliteBook notebook", "Zebu", "notebook")] * 8
    first, *_, last = _read(rows, [{"volts": at} if at < 4 else {"pages": at} for at in range(8)])
    assert not np.allclose(first, last, atol=1e-3)


def test_the_classifier_is_never_quite_sure() -> None:
    features = np.repeat(np.eye(2, dtype=np.float32), 40, axis=0)
    probabilities = np.exp(answer_types(features, np.repeat([0, 1], 40), 2))
    assert probabilities.sum(1) == pytest.approx(1)
    assert 0.9 < probabilities[:40, 0].min() <= probabilities.max() <= 0.95 + 1e-6


def test_the_classifier_does_not_learn_from_the_product_that_it_answers_for() -> None:
    # Nothing but the last product itself says what one like it is.
    features = np.array([[1, 0, 0]] * 40 + [[0, 1, 0]] * 40 + [[0, 0, 1]], np.float32)
    chosen = np.array([0] * 40 + [1] * 41)
    assert np.exp(answer_types(features, chosen, 2))[80, 1] < 0.7


def test_the_classifier_answers_for_products_without_a_type() -> None:
    features = np.array([[1, 0]] * 42 + [[0, 1]] * 42, np.float32)
    chosen = np.array([-1, -1] + [0] * 40 + [-1, -1] + [1] * 40)
    assert np.exp(answer_types(features, chosen, 2)).argmax(1).tolist() == [0] * 42 + [1] * 42
