"""Reading ahead against one token a step: the same codes from fewer steps, on tries and models drawn at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gram_os.arrays import FloatArray, IntArray
from gram_os.model.decode import beam_search, score_sequences
from gram_os.model.language_model import PROMPT, Chains, Reading, Step, reads_chains
from gram_os.model.trie import CodeTrie
from gram_os.text.attribute import Side
from tests.fakes import TableModel

Tokens = tuple[int, ...]

VALUES = 4
# Long codes over few tokens, beside some that end on the way: chains of all lengths, also through whole codes.
codes = st.lists(st.integers(0, VALUES - 1), min_size=1, max_size=8).map(tuple)
code_sets = st.sets(codes, min_size=1, max_size=15)
text_lists = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4)


@dataclass(slots=True)
class ChainTable(TableModel):
    """A `TableModel` that reads chains; its state is the tree of each text, a prefix and its node's number.

    decimals: log-probabilities are rounded to them, so that many are equal; reads: tokens of every reading.
    """

    decimals: int | None = None
    reads: list[int] = field(default_factory=list)

    def next_log_probs(self, text: str, side: Side, prefix: Tokens) -> FloatArray:
        log_probs = TableModel.next_log_probs(self, text, side, prefix)
        return log_probs if self.decimals is None else log_probs.round(self.decimals)

    def start(self, texts: Sequence[str], side: Side) -> Step:
        first = TableModel.start(self, texts, side)
        return Step(first.log_probs, (side, texts, [{PROMPT: ()} for _ in texts]))

    def read_chains(self, state: object, chains: Chains) -> Reading:
        assert isinstance(state, tuple)
        assert np.array_equal(np.sort(chains.texts), chains.texts)
        side, texts, trees = state
        trees, tokens = [dict(tree) for tree in trees], iter(chains.tokens.tolist())
        nodes, rows = [], []
        for text, parent, length in zip(chains.texts, chains.parents, chains.lengths, strict=True):
            prefix = trees[text][int(parent)]
            for _ in range(length):
                prefix = (*prefix, next(tokens))
                nodes.append(7 * len(trees[text]))  # any number will do
                trees[text][nodes[-1]] = prefix
                rows.append(self.next_log_probs(texts[text], side, prefix))
        self.reads.append(len(rows))
        table = np.stack(rows)
        chosen = np.take_along_axis(table, chains.wanted, axis=1)
        return Reading(np.array(nodes), chosen, table[chains.whole], (side, texts, trees))


@settings(deadline=None, max_examples=300)
@given(
    st.integers(0, 10_000), st.sampled_from([0, 1, None]), code_sets, text_lists, st.integers(1, 12)
)  # fmt: skip
def test_reading_ahead_gives_what_one_token_a_step_gives(
    seed: int, decimals: int | None, allowed: set[Tokens], texts: list[str], width: int
) -> None:
    model, trie = ChainTable(VALUES, seed=seed, decimals=decimals), CodeTrie.build(allowed)
    assert reads_chains(model)
    found = beam_search(model, trie, model.start(texts, Side.QUERY), width=width)
    assert len(model.steps) == 1  # the start; `advance` was never called

    plain = _Stepwise(model)
    assert found == beam_search(plain, trie, plain.start(texts, Side.QUERY), width=width)
    assert len(model.reads) <= plain.advances


@dataclass(slots=True)
class _Stepwise:
    """The same model as one that reads one token at a step."""

    inner: ChainTable
    advances: int = 0

    @property
    def end(self) -> int:
        return self.inner.end

    def start(self, texts: Sequence[str], side: Side) -> Step:
        return TableModel.start(self.inner, texts, side)

    def advance(self, state: object, parents: IntArray, tokens: IntArray) -> Step:
        self.advances += 1
        return TableModel.advance(self.inner, state, parents, tokens)


def test_a_code_without_a_choice_is_one_question() -> None:
    model = ChainTable(VALUES)
    trie = CodeTrie.build([(0, 1, 2, 3), (1, 1), (1, 1, 1, 1, 1)])
    (found,) = beam_search(model, trie, model.start(["a"], Side.TITLE), width=10)
    assert {g.tokens for g in found} == set(trie)
    assert model.reads == [4 + 5]


def test_only_what_the_beam_holds_is_read() -> None:
    model = ChainTable(20, sharpness=0.1)
    trie = CodeTrie.build([(a, b, c) for a in range(20) for b in range(20) for c in (0, 1)])
    beam_search(model, trie, model.start(["a", "b"], Side.QUERY), width=7)
    assert model.reads == [2 * 7] * 3  # every node has several children: a token a beam and depth


@settings(deadline=None, max_examples=100)
@given(st.lists(st.lists(codes, max_size=6), min_size=1, max_size=4), st.sampled_from(Side))
def test_sequences_are_scored_in_one_step(wanted: list[list[Tokens]], side: Side) -> None:
    model, texts = ChainTable(VALUES), [f"text {at}" for at in range(len(wanted))]
    found = score_sequences(model, model.start(texts, side), wanted)
    assert [len(row) for row in found] == [len(row) for row in wanted]
    for text, row, scored in zip(texts, wanted, found, strict=True):
        for tokens, log_probs in zip(row, scored, strict=True):
            assert log_probs == pytest.approx(model.log_probs(text, side, tokens)[:-1], rel=1e-6)
    assert len(model.reads) == any(len(code) > 1 for row in wanted for code in row)
