"""Beam search against brute force and against a plain beam search, on tries and models drawn at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.plain_search import plain_beam_search
from gram_os.arrays import FloatArray
from gram_os.model.decode import Generated, beam_search, likeliest_tokens, score_sequences
from gram_os.model.trie import CodeTrie
from gram_os.text.attribute import Side
from tests.fakes import TableModel
from tests.object_search import object_beam_search

Tokens = tuple[int, ...]

VALUES = 5
codes = st.lists(st.integers(0, VALUES - 1), min_size=1, max_size=4).map(tuple)
code_sets = st.sets(codes, min_size=1, max_size=25)
models = st.builds(TableModel, st.just(VALUES), seed=st.integers(0, 10_000), sharpness=st.sampled_from([0.3, 2.0, 6.0]))
sides = st.sampled_from(Side)


@dataclass(slots=True)
class RoundedModel(TableModel):
    """Log-probabilities rounded to `decimals`, so that many are equal, and some of them -inf."""

    decimals: int | None = None

    def next_log_probs(self, text: str, side: Side, prefix: Tokens) -> FloatArray:
        log_probs = TableModel.next_log_probs(self, text, side, prefix)
        if self.decimals is not None:
            log_probs = log_probs.round(self.decimals)
            log_probs[log_probs < -6] = -np.inf
        return log_probs


def _brute_force(model: TableModel, text: str, side: Side, allowed: set[Tokens]) -> list[tuple[Tokens, float]]:
    scored = [(code, sum(model.log_probs(text, side, code))) for code in allowed]
    return sorted(scored, key=lambda item: -item[1])


def _equal(found: list[Generated], expected: list[tuple[Tokens, float]]) -> None:
    assert [g.tokens for g in found] == [tokens for tokens, _ in expected]
    assert [g.score for g in found] == pytest.approx([score for _, score in expected], rel=1e-6)


@settings(deadline=None, max_examples=120)
@given(models, code_sets, sides, st.integers(0, 3))
def test_a_beam_as_wide_as_the_trie_is_brute_force(
    model: TableModel, allowed: set[Tokens], side: Side, spare: int
) -> None:
    first = model.start(["a text"], side)
    (found,) = beam_search(model, CodeTrie.build(allowed), first, width=len(allowed) + spare)
    _equal(found, _brute_force(model, "a text", side, allowed))


@settings(deadline=None, max_examples=120)
@given(models, code_sets, sides, st.integers(1, 12))
def test_any_width_is_the_plain_beam_search(model: TableModel, allowed: set[Tokens], side: Side, width: int) -> None:
    trie = CodeTrie.build(allowed)
    (found,) = beam_search(model, trie, model.start(["a text"], side), width=width)

    def next_log_probs(prefixes: Sequence[Tokens]) -> FloatArray:
        return np.stack([model.next_log_probs("a text", side, prefix) for prefix in prefixes])

    assert found == plain_beam_search(next_log_probs, model.end, trie, width)


@settings(deadline=None, max_examples=200)
@given(
    st.integers(0, 10_000),
    st.sampled_from([0, 1, None]),
    st.lists(code_sets, min_size=1, max_size=2).map(lambda sets: set[Tokens]().union(*sets)),
    st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4),
    st.integers(1, 12),
)
def test_flat_arrays_give_what_one_object_a_beam_gave(
    seed: int, decimals: int | None, allowed: set[Tokens], texts: list[str], width: int
) -> None:
    model = RoundedModel(VALUES, seed=seed, decimals=decimals)
    trie = CodeTrie.build(allowed)
    found = beam_search(model, trie, model.start(texts, Side.QUERY), width=width)
    steps, model.steps = model.steps, []
    assert found == object_beam_search(model, trie, model.start(texts, Side.QUERY), width=width)
    assert steps == model.steps


@settings(deadline=None, max_examples=80)
@given(models, code_sets, sides, st.integers(1, 12))
def test_only_codes_of_the_trie_come_out_each_once_with_the_models_own_probabilities(
    model: TableModel, allowed: set[Tokens], side: Side, width: int
) -> None:
    texts = ["one", "two", "three"]
    for text, found in zip(
        texts, beam_search(model, CodeTrie.build(allowed), model.start(texts, side), width=width), strict=True
    ):
        assert 0 < len(found) <= width
        assert len({g.tokens for g in found}) == len(found)
        assert {g.tokens for g in found} <= allowed
        assert [g.score for g in found] == sorted((g.score for g in found), reverse=True)
        for item in found:
            assert item.log_probs == pytest.approx(model.log_probs(text, side, item.tokens), rel=1e-6)
            assert len(item.log_probs) == len(item.tokens) + 1
            assert item.score == pytest.approx(sum(item.log_probs))


@settings(deadline=None, max_examples=80)
@given(models, code_sets, st.lists(st.sampled_from("abcdef"), max_size=5), st.integers(1, 6))
def test_a_batch_is_its_texts_one_by_one(model: TableModel, allowed: set[Tokens], texts: list[str], width: int) -> None:
    trie = CodeTrie.build(allowed)
    if not texts:
        return
    together = beam_search(model, trie, model.start(texts, Side.QUERY), width=width)
    alone = [beam_search(model, trie, model.start([t], Side.QUERY), width=width)[0] for t in texts]
    assert together == alone


def test_hand_computed() -> None:
    class Fixed(TableModel):
        def next_log_probs(self, text, side, prefix):  # type: ignore[no-untyped-def]
            table = {
                (): [0.5, 0.3, 0.1, 0.1],
                (0,): [0.1, 0.2, 0.1, 0.6],
                (1,): [0.05, 0.05, 0.8, 0.1],
                (1, 2): [0.05, 0.05, 0.0, 0.9],
            }
            with np.errstate(divide="ignore"):
                return np.log(np.array(table[prefix], dtype=np.float32))

    model = Fixed(3)
    trie = CodeTrie.build([(0,), (1, 2), (1,)])
    (found,) = beam_search(model, trie, model.start(["x"], Side.TITLE), width=2)
    # (0,): .5 * .6 = .30; (1, 2): .3 * .8 * .9 = .216; (1,): .3 * .1 = .03
    assert [g.tokens for g in found] == [(0,), (1, 2)]
    assert [2.718281828**g.score for g in found] == pytest.approx([0.30, 0.216], rel=1e-5)


def test_the_search_stops_where_no_beam_can_win_any_more() -> None:
    model = TableModel(VALUES, seed=3)
    best = min(range(VALUES), key=lambda v: -sum(model.log_probs("x", Side.QUERY, (v,))))
    (found,) = beam_search(model, CodeTrie.build([(best,)]), model.start(["x"], Side.QUERY), width=1)
    assert [g.tokens for g in found] == [(best,)]
    assert model.steps == [(1, 0), (1, 1)]  # the first token, then the closing one; no third step


def test_an_empty_trie_gives_no_codes() -> None:
    model = TableModel(VALUES)
    assert beam_search(model, CodeTrie.build([]), model.start(["a", "b"], Side.QUERY)) == [[], []]


def test_width_bounds_what_the_model_is_asked() -> None:
    model = TableModel(20, seed=1, sharpness=0.1)
    trie = CodeTrie.build([(a, b) for a in range(20) for b in range(20)])
    beam_search(model, trie, model.start(["a", "b"], Side.QUERY), width=7)
    assert max(beams for beams, _ in model.steps) == 7


@settings(deadline=None, max_examples=80)
@given(models, st.lists(st.lists(codes, max_size=6), min_size=1, max_size=4), sides)
def test_given_sequences_are_scored_as_by_hand(model: TableModel, wanted: list[list[Tokens]], side: Side) -> None:
    texts = [f"text {at}" for at in range(len(wanted))]
    found = score_sequences(model, model.start(texts, side), wanted)
    assert [len(row) for row in found] == [len(row) for row in wanted]
    for text, row, scored in zip(texts, wanted, found, strict=True):
        for tokens, log_probs in zip(row, scored, strict=True):
            assert log_probs == pytest.approx(model.log_probs(text, side, tokens)[:-1], rel=1e-6)


def test_single_values_are_scored_without_a_further_step() -> None:
    model = TableModel(VALUES)
    first = model.start(["a", "b"], Side.TITLE)
    score_sequences(model, first, [[(0,), (3,)], []])
    assert model.steps == [(1, 0)]


@settings(deadline=None, max_examples=80)
@given(models, code_sets, sides, st.integers(0, 7))
def test_the_likeliest_codes_of_one_token_are_found_without_a_further_step(
    model: TableModel, allowed: set[Tokens], side: Side, width: int
) -> None:
    first = model.start(["a", "b"], side)
    tokens, log_probs = likeliest_tokens(first, CodeTrie.build(allowed), width)
    for text, row, scores in zip(["a", "b"], tokens, log_probs, strict=True):
        singles = {code: model.log_probs(text, side, code)[0] for code in allowed if len(code) == 1}
        expected = sorted(singles.items(), key=lambda item: -item[1])[:width]
        assert [(token,) for token in row.tolist()] == [code for code, _ in expected]
        assert scores.tolist() == pytest.approx([score for _, score in expected], rel=1e-6)
    assert model.steps[-1:] == [(1, 0)]
