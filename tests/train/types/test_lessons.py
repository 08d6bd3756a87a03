"""What the type heads learn from, and that they learn it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sparse
import torch

from gram_os.text.attribute import Side
from gram_os.text.normalise import Normaliser
from gram_os.text.product_types import ProductType, TypeVocabulary
from gram_os.train.models.type_heads import TypeHeads, TypeHeadSettings, train_type_heads
from gram_os.train.types.bridge import Bridge
from gram_os.train.types.lessons import TypeLessons, make_lessons
from gram_os.train.types.lexicon import TypeSources
from gram_os.train.types.taxonomy import Category, Taxonomy
from tests.train.typed_catalogue import make_encoder, make_thesaurus

NORMALISER = Normaliser()
VOCABULARY = TypeVocabulary((ProductType("bag", 9, (), ("sack",)), ProductType("lamp", 16)))
embed = make_encoder(["bag rucksack satchel", "lamp lantern"])
AXES = np.eye(2, dtype=np.float32)
TAXONOMY = Taxonomy((Category(("Luggage",)), Category(("Toys",)), Category(("Lights",)), Category(("Gadgets",))))
SOURCES = TypeSources(TAXONOMY, make_thesaurus({"bag": "", "satchel": "bag", "lantern": ""}))
BRIDGE = Bridge(np.zeros((4, 2), np.float32), np.array([[0.6, 0.2], [0.2, 0], [0, 1], [0.25, 0.25]], np.float32), AXES)


def _lessons(words: tuple[str, ...] = (), made: tuple[tuple[str, int], ...] = ()) -> TypeLessons:
    return make_lessons(VOCABULARY, BRIDGE, SOURCES, NORMALISER, embed, made=made, words=words)


def _target(lessons: TypeLessons, text: str) -> list[float]:
    row: list[float] = lessons.targets[lessons.queries.index(text)].toarray()[0].tolist()
    return row


def test_each_text_has_shares_that_sum_to_one() -> None:
    lessons = _lessons(("lantern", "satchel", "gift"), (("red bag", 0), ("desk lamp", 1)))
    np.testing.assert_allclose(np.asarray(lessons.targets.sum(1)).ravel(), 1, rtol=1e-6)
    assert lessons.targets.shape == (len(lessons.queries), 2)
    assert len(lessons.weights) == len(lessons.queries)


def test_names_and_synonyms_are_read_by_the_roots_of_their_products() -> None:
    lessons = _lessons()
    weights = [lessons.weights[lessons.queries.index(text)] for text in ("bag", "sack", "lamp")]
    assert weights == [3, 3, 4]
    assert _target(lessons, "sack") == [1, 0]


def test_a_category_is_a_lesson_where_enough_of_it_reaches_types() -> None:
    lessons = _lessons()
    assert _target(lessons, "luggage") == pytest.approx([0.75, 0.25])
    assert _target(lessons, "lights") == [0, 1]
    assert not {"toys", "gadgets"} & set(
        lessons.queries
    )  # .2 of the one reach types, and .25 of the other any one type


def test_everyday_words_get_what_the_bridge_guesses_and_what_the_thesaurus_says() -> None:
    lessons = _lessons(("rucksack", "bag"), (("red bag", 0),))
    guess = BRIDGE.guess_types(embed(["rucksack"]))[0]
    assert _target(lessons, "rucksack") == pytest.approx(guess, abs=0.02)
    satchel = _target(lessons, "satchel")  # a noun of the thesaurus, whose broader word is a type's name
    assert satchel == pytest.approx([0.7 + 0.3 * guess[0], 0.3 * guess[1]], abs=0.02)
    assert lessons.targets[lessons.queries.index("bag")].toarray().tolist() == [[1, 0]]  # a name is no guess
    assert _target(lessons, "red bag") == [1, 0]


def test_small_shares_are_left_out() -> None:
    alone = Bridge(np.zeros((0, 2), np.float32), np.zeros((0, 2), np.float32), AXES)
    lessons = make_lessons(VOCABULARY, alone, SOURCES, NORMALISER, embed, made=(), words=("rucksack",))
    row = lessons.targets[lessons.queries.index("rucksack")]
    assert (row.nnz, row.toarray().tolist()) == (1, [[1.0, 0.0]])  # the other share is e^-25


def test_lessons_go_through_their_file(tmp_path: Path) -> None:
    lessons = _lessons(("rucksack", "größe", "鞄"), (("red bag", 0),))
    lessons.save(tmp_path)
    found = TypeLessons.load(tmp_path)
    assert found.queries == lessons.queries
    np.testing.assert_array_equal(found.targets.toarray(), lessons.targets.toarray())
    np.testing.assert_array_equal(found.weights, lessons.weights)


def test_heads_start_as_cosines_with_the_types_and_learn_their_lessons() -> None:
    torch.manual_seed(0)
    heads = TypeHeads(2, 2, 4)
    heads.initialise(AXES)
    heads.eval()
    with torch.inference_mode():
        found = heads(torch.eye(2), Side.QUERY).exp().numpy()
    even = np.exp(20) / (np.exp(20) + 1)  # cosines of 1 and 0, times 20
    np.testing.assert_allclose(found, [[even, 1 - even], [1 - even, even]], atol=1e-6)
    swapped = dict.fromkeys(Side, AXES)
    targets = {side: sparse.csr_matrix(AXES[::-1]) for side in Side}
    weights = {side: np.ones(2, np.float32) for side in Side}
    losses = train_type_heads(heads, swapped, targets, weights, TypeHeadSettings(epochs=60, rate=0.05, hidden=4))
    assert losses[-1] < 0.1 < losses[0]
    assert heads(torch.eye(2), Side.TITLE).argmax(-1).tolist() == [1, 0]
