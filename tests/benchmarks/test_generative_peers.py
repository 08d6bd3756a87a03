"""The generative peers on a catalogue of eight products: identifiers, losses and searches by hand, and training."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import BertConfig, BertModel

from benchmarks.peers import generative, multi_span, semantic_ids, term_sets
from benchmarks.peers.generative import Clicked, Lesson, Plan, rank_down
from benchmarks.peers.interface import Benchmark, Split
from gram_os.arrays import IntArray
from gram_os.catalogue import Judgment, Product
from gram_os.model.decode import Generated, Step
from gram_os.relevance import JudgmentSet
from gram_os.text.attribute import Side
from gram_os.train.models.compact import CompactModel
from gram_os.train.models.compact_decoder import CompactDecoder, CompactShape
from gram_os.train.models.encoder import pad

TITLES = [
    "red hammer",
    "red hammer large",
    "blue drill",
    "blue drill large",
    "green ladder",
    "green ladder large",
    "red drill",
    "red drill large",
]
QUERIES = {"q1": "claw tool", "q2": "boring machine", "q3": "climbing thing"}
CLICKS = {"q1": [0, 1], "q2": [2, 3, 6, 7], "q3": [4, 5]}


def _bench(work: Path) -> Benchmark:
    judgments = [
        Judgment(query, str(at), 3.0 if at in clicked else 1.0) for query, clicked in CLICKS.items() for at in range(8)
    ]
    split = Split(QUERIES, JudgmentSet.build(judgments))
    products = [Product(str(at), title, {}) for at, title in enumerate(TITLES)]
    return Benchmark(products, split, split, work, work)


TINY = Plan(steps=60, queries=3, titles=8, drawn=2, decoder_rate=5e-3, encoder_rate=5e-3)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an encoder of one layer, 24 wide, whose vocabulary is the words of this file."""
    folder = tmp_path_factory.mktemp("encoder")
    words = sorted({word for text in [*TITLES, *QUERIES.values()] for word in text.split()})
    tokenizer = Tokenizer(WordLevel({word: at for at, word in enumerate(["[UNK]", *words])}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(0)
    config = BertConfig(vocab_size=40, hidden_size=24, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24)
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    "peer",
    [
        semantic_ids.SemanticIds(codewords=4, beam=2, plan=TINY),
        term_sets.TermSetPeer(size=3, least_products=2, beam=8, plan=replace(TINY, any_order=True)),
        multi_span.MultiSpan(least_products=2, beam=20, plan=TINY, preference_steps=5),
    ],
    ids=lambda peer: peer.name,
)
def test_a_peer_learns_its_clicks_and_keeps_its_model(
    peer: semantic_ids.SemanticIds | term_sets.TermSetPeer | multi_span.MultiSpan,
    encoder: Path,
    tmp_path: Path,
) -> None:
    peer = replace(peer, encoder=encoder)
    bench = _bench(tmp_path)
    ranked = peer.rank(bench, QUERIES)
    for query, clicked in CLICKS.items():
        found = [product for product, _ in ranked[query]]
        scores = [score for _, score in ranked[query]]
        assert len(found) == len(set(found)) <= 300
        assert scores == sorted(scores, reverse=True)
        assert int(found[0]) in clicked, (query, found)
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.pt")}
    assert kept
    assert peer.rank(bench, QUERIES) == ranked  # the second call trains nothing
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.pt")} == kept


def test_clicks_and_what_was_passed_over(tmp_path: Path) -> None:
    assert generative.clicked_queries(_bench(tmp_path))[0] == Clicked("claw tool", (0, 1), (2, 3, 4, 5, 6, 7))


def test_words_keep_measures_whole() -> None:
    assert generative.words_of(["Strong-Tie 1/4 in. Nails"]) == [["strong", "tie", "0.25 in", "nail"]]


def test_first_token_of_a_sequence_and_of_a_set() -> None:
    lesson = Lesson([1], ((0, 2), (0, 1), (3,)), (0.5, 0.25, 0.25))
    in_order = generative.first_shares([lesson], 4, any_order=False)
    assert in_order.tolist() == [[0.75, 0, 0, 0.25]]
    any_order = generative.first_shares([lesson], 4, any_order=True)
    assert any_order.tolist() == [[0.375, 0.125, 0.25, 0.25]]


def test_prefixes_and_labels() -> None:
    prefixes, labels = generative.prefix_grid([[(1, 2), (3,)]], opening=9, end=8)
    assert prefixes.tolist() == [[[9, 1, 2], [9, 3, 8]]]
    assert labels.tolist() == [[[1, 2, 8], [3, 8, -1]]]


class _Encoder(torch.nn.Module):
    """An encoder that is a table of vectors, 12 wide, one for each token."""

    def __init__(self) -> None:
        super().__init__()
        self.table = torch.nn.Embedding(40_000, 12)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> object:
        class Answer:
            last_hidden_state = self.table(input_ids)

        return Answer()


def _model(values: int) -> CompactModel:
    torch.manual_seed(0)
    decoder = CompactDecoder(CompactShape(values, width=12, heads=2, feed_forward=16))
    decoder.initialise(torch.randn(values, 12))
    return CompactModel(_Encoder(), decoder).eval()


def test_loss_is_the_likelihood_of_the_sequence() -> None:
    model = _model(5)
    lesson = Lesson([7, 8], ((3, 1),), (1.0,))
    loss = generative.sequence_loss(model, [lesson], Side.QUERY, Plan(drawn=2), random.Random(0))
    log_prob = generative.sequence_log_probs(model, [[7, 8]], [[(3, 1), (3,)]])
    assert loss.item() == pytest.approx(-log_prob[0, 0].item(), abs=1e-5)
    assert log_prob.shape == (1, 2)


def test_kv_cache_agrees_with_the_whole_prefix(encoder: Path) -> None:
    model = _model(5)
    adapter = generative.TorchModel(model, encoder)
    step = adapter.start(["red hammer", "drill"], Side.QUERY)
    step = adapter.advance(step.state, np.zeros((2, 2), np.int64), np.array([[0, 1], [2, 3]]))
    step = adapter.advance(step.state, np.array([[1, 0], [0, 0]]), np.array([[4, 4], [1, 2]]))
    ids = generative.encode_texts(["red hammer", "drill"], 32, encoder)
    rows = model(*pad(ids), torch.tensor([[[6, 1, 4], [6, 0, 4]], [[6, 2, 1], [6, 2, 2]]]))
    expected = rows[:, :, -1].log_softmax(-1).detach().numpy()
    np.testing.assert_allclose(step.log_probs, expected, atol=1e-5)


def test_ranking_down() -> None:
    ranked = rank_down([(2, -3.0), (0, -1.0), (2, -9.0)], iter([0, 1, 3]), 3, ["a", "b", "c", "d"])
    assert ranked == [("a", -1.0), ("c", -3.0), ("b", pytest.approx(-3.001))]


def test_quantised_ids_are_unique_and_alike_for_equal_titles() -> None:
    vectors = np.array([[1, 0], [1, 0], [0, 1], [-1, 0]], np.float32)
    quantised = semantic_ids.quantise(vectors, 3, 3, 0)
    assert len(set(quantised.ids)) == 4
    assert quantised.ids[0][:3] == quantised.ids[1][:3]
    assert [id_[3] for id_ in quantised.ids] == [9, 10, 9, 9]  # 3 levels of 3 codewords stand before
    assert len({id_[0] for id_ in quantised.ids}) == 3
    assert quantised.vectors.shape == (3 * 3 + 2, 2)


def test_neighbours_share_the_longest_prefix_first() -> None:
    neighbours = semantic_ids.Neighbours([(0, 3, 6), (0, 3, 7), (0, 4, 6), (1, 3, 6)])
    order = list(dict.fromkeys(neighbours.near([(1, 3, 6), (0, 3, 7)])))
    assert order == [3, 0, 1, 2]


def test_term_importance_by_hand() -> None:
    titles = [["red", "drill"], ["drill"]]
    importance = term_sets.term_importance(titles, [Clicked("drill", (0,), ())])
    # The query names one of the two terms of the clicked title: mean .5, which the prior adds 20 times to both.
    assert importance["drill"] == pytest.approx(math.log(2) * (1 + 20 * 0.5) / 21)
    assert importance["red"] == pytest.approx(math.log(3) * (0 + 20 * 0.5) / 21)


def test_products_with_the_same_terms_share_a_set() -> None:
    titles = [["red", "drill"], ["drill", "red", "rare"], ["drill"], ["other"]]
    sets = term_sets.make_sets(titles, [], size=2, least_products=2)
    assert sets.terms == ["drill", "red"]
    assert dict(zip(sets.sets, sets.products, strict=True)) == {(0, 1): [0, 1], (0,): [2]}


def test_index_finds_the_terms_that_can_follow() -> None:
    index = term_sets.SetIndex([(0, 1), (0,), (1, 2, 3)], terms=4)
    assert index.following(frozenset()).tolist() == [0, 1, 2, 3]
    assert index.following(frozenset({0})).tolist() == [-1, 1]  # {0} is a set of its own
    assert index.following(frozenset({1, 3})).tolist() == [2]
    assert index.following(frozenset({0, 1})).tolist() == [-1]
    assert index.whole(frozenset({2, 1, 3})) == 2
    assert list(index.near([frozenset({1}), frozenset({0})])) == [0, 2, 0, 1]


class _Fixed:
    """A model whose probabilities depend on the number of tokens before, so every order of a set has its own."""

    end = 4

    def __init__(self, levels: Sequence[Sequence[float]]):
        self.levels = [np.log(np.array(level, np.float32)) for level in levels]

    def start(self, texts: Sequence[str], side: Side) -> Step:
        return Step(np.tile(self.levels[0], (len(texts), 1, 1)), 1)

    def advance(self, state: object, parents: IntArray, tokens: IntArray) -> Step:
        assert isinstance(state, int)
        return Step(np.tile(self.levels[state], (*tokens.shape, 1)), state + 1)


def test_orders_of_a_set_add_up() -> None:
    levels = [[0.4, 0.3, 0.2, 0.05, 0.05], [0.1, 0.5, 0.2, 0.1, 0.1], [0.2, 0.1, 0.1, 0.1, 0.5]]
    sets = [(0, 1), (0, 2), (1, 3)]
    model = _Fixed(levels)
    found = term_sets.search_sets(model, term_sets.SetIndex(sets, 4), model.start(["x"], Side.QUERY), width=10)[0]
    wanted = {
        at: math.log(sum(levels[0][a] * levels[1][b] * levels[2][4] for a, b in itertools.permutations(tokens)))
        for at, tokens in enumerate(sets)
    }
    assert dict(found.whole) == pytest.approx(wanted, abs=1e-5)
    assert [at for at, _ in found.whole] == sorted(wanted, key=lambda at: -wanted[at])
    # Parts: pairs before single terms, each kind by probability.
    assert found.parts[0] == {0, 1}
    assert found.parts[3:] == [{0}, {1}, {2}, {3}]


def test_spans_by_hand() -> None:
    spans = multi_span.find_spans([["red", "drill"], ["red", "drill", "kit"], ["kit"]], least_products=2, most_words=9)
    assert spans.words == ["drill", "kit", "red"]
    assert spans.counts == {(0,): 2, (1,): 2, (2,): 2, (2, 0): 2}
    assert spans.titles[1] == [(0,), (1,), (2,), (2, 0)]
    sequences, shares = multi_span.query_spans(spans, Clicked("x", (1, 2), ()), most=2, rarity=0.5)
    assert sequences == ((1,), (0,))  # the kit was clicked twice
    assert shares == pytest.approx((2 / 3, 1 / 3))


def test_products_are_scored_by_their_spans() -> None:
    spans = multi_span.find_spans([["red", "drill"], ["drill"], ["red"], ["saw"]], least_products=1, most_words=9)
    drill, red = spans.words.index("drill"), spans.words.index("red")
    # Six spans in all: red and drill twice, saw and "red drill" once.
    scorer = multi_span.SpanScorer(spans, power=1.0, repeat_discount=0.8)
    pair, word = Generated((red, drill), (math.log(0.5),)), Generated((drill,), (math.log(0.6),))
    heavy = math.log((0.5 / 0.5) * (1 - 1 / 6) / (1 / 6))
    light = math.log((0.6 / 0.4) * (1 - 2 / 6) / (2 / 6))
    assert dict(scorer.score([word, pair])) == pytest.approx({0: heavy + light * 0.2, 1: light})


def test_preference_loss_starts_at_log_two_and_prefers() -> None:
    model = _model(5)
    for parameter in model.encoder.parameters():
        parameter.requires_grad_(False)
    pairs = [multi_span.Preferences([3, 4], [(0,)], [(1, 2)])]
    loss = multi_span.preference_loss(model, pairs, Plan(queries=4, drawn=2), 0.5, 0)
    assert loss().item() == pytest.approx(math.log(2), abs=1e-5)
    optimiser = torch.optim.SGD(model.decoder.parameters(), lr=0.05)
    before = generative.sequence_log_probs(model, [[3, 4]], [[(0,), (1, 2)]])[0]
    for _ in range(3):
        optimiser.zero_grad()
        torch.autograd.backward(loss())
        optimiser.step()
    after = generative.sequence_log_probs(model, [[3, 4]], [[(0,), (1, 2)]])[0]
    assert (after[0] - after[1] > before[0] - before[1]).item()


def test_preferences_leave_out_spans_of_both_sides() -> None:
    spans = multi_span.find_spans([["red", "drill"], ["red", "saw"]], least_products=1, most_words=9)
    drill, red, saw = (spans.words.index(word) for word in ("drill", "red", "saw"))
    (found,) = multi_span.find_preferences(spans, [[1]], [Clicked("x", (0,), (1,))])
    assert (found.better, found.worse) == (sorted([(drill,), (red, drill)]), sorted([(saw,), (red, saw)]))
