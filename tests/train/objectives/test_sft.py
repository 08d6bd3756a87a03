"""Supervised fine-tuning: shares and draws by hand, the loss against log-likelihoods, a model that learns by heart."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations, count, islice
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import BertConfig, BertModel

from gram_os.arrays import IntArray
from gram_os.errors import InputError
from gram_os.model.decode import Step, beam_search
from gram_os.model.trie import CodeTrie
from gram_os.text.attribute import Side
from gram_os.train.lessons.targets import Target
from gram_os.train.loop.curves import CurveWriter, read_curves
from gram_os.train.loop.training_loop import Journal, LoopSettings, RateGroup, run_loop
from gram_os.train.models.compact import CompactModel
from gram_os.train.models.compact_decoder import CompactDecoder, CompactShape
from gram_os.train.models.encoder import length_buckets, mean_pool, pad
from gram_os.train.objectives.sft import (
    Example,
    SftObjective,
    SftSettings,
    code_loss,
    draw_batches,
    draw_codes,
    first_shares,
    make_batches,
    prefix_grid,
    train_generator,
)

END, OPENING = 8, 9


def _example(*codes: tuple[int, ...], shares: Sequence[float] = (), ids: Sequence[int] = (1, 2)) -> Example:
    return Example(ids, Target(codes, tuple(shares) or (1 / max(len(codes), 1),) * len(codes)))


def _tiny_model(values: int = 8) -> CompactModel:
    torch.manual_seed(0)
    config = BertConfig(vocab_size=40, hidden_size=24, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48)
    shape = CompactShape(values=values, width=24, heads=2, layers=2, feed_forward=48)
    decoder = CompactDecoder(shape)
    decoder.initialise(nn.functional.normalize(torch.randn(values, 24), dim=1))
    return CompactModel(BertModel(config, add_pooling_layer=False), decoder)


@torch.inference_mode()
def _loss(model: CompactModel, batch: Sequence[Example], side: Side, drawn: int, rng: random.Random) -> float:
    return float(code_loss(model, draw_codes(batch, drawn, rng), side))


class _TorchModel:
    """The model as `LanguageModel`, its texts being token ids with spaces; every prefix is computed from its start."""

    def __init__(self, model: CompactModel):
        self.model = model.eval()
        self.end = model.decoder.shape.end

    def start(self, texts: Sequence[str], side: Side) -> Step:
        ids, mask = pad([[int(i) for i in text.split()] for text in texts])
        opening = self.model.decoder.shape.side_tokens[side is Side.TITLE]
        return self._answer(ids, mask, torch.full((len(texts), 1, 1), opening))

    def advance(self, state: object, parents: IntArray, tokens: IntArray) -> Step:
        assert isinstance(state, tuple)
        ids, mask, prefixes = state
        rows = torch.arange(len(ids))[:, None]
        longer = torch.cat([prefixes[rows, torch.from_numpy(parents)], torch.from_numpy(tokens)[..., None]], -1)
        return self._answer(ids, mask, longer)

    @torch.inference_mode()
    def _answer(self, ids: torch.Tensor, mask: torch.Tensor, prefixes: torch.Tensor) -> Step:
        logits = self.model(ids, mask, prefixes)[:, :, -1]
        return Step(logits.float().log_softmax(-1).numpy(), (ids, mask, prefixes))


def test_first_shares_add_up_by_first_value() -> None:
    batch = [_example((0,), (0, 3), (2, 3), shares=(0.5, 0.2, 0.3)), _example((7,))]
    shares = first_shares(batch, 9)
    assert shares.shape == (2, 9)
    torch.testing.assert_close(shares[0], torch.tensor([0.7, 0, 0.3, 0, 0, 0, 0, 0, 0]))
    assert shares[1].tolist() == [0, 0, 0, 0, 0, 0, 0, 1, 0]


def test_drawn_codes_by_hand() -> None:
    drawn = draw_codes([_example((4, 6, 7)), _example((5,))], 2, random.Random(0))
    prefixes, labels = prefix_grid(drawn.codes, OPENING, END)
    assert prefixes.tolist() == [[[9, 4, 6, 7]] * 2, [[9, 5, 8, 8]] * 2]
    # The first value is learned exactly elsewhere: what follows 4 is 6, what follows 5 is the end.
    assert labels.tolist() == [[[6, 7, 8]] * 2, [[8, -1, -1]] * 2]
    assert prefixes.dtype == labels.dtype == torch.int64


def test_codes_are_drawn_by_their_shares() -> None:
    batch = [_example((1,), (2,), (3,), shares=(0.7, 0.3, 0.0))]
    (codes,) = draw_codes(batch, 4000, random.Random(1)).codes
    counts = Counter(codes)
    assert set(counts) == {(1,), (2,)}
    assert counts[1,] / 4000 == pytest.approx(0.7, abs=0.03)


@pytest.mark.parametrize("side", Side)
def test_the_loss_of_one_code_is_its_negative_log_likelihood(side: Side) -> None:
    model = _tiny_model()
    code, ids = (2, 5, 6), (3, 4, 5)
    language_model = _TorchModel(model)
    step = language_model.start([" ".join(map(str, ids))], side)
    total = 0.0
    for token in (*code, END):
        total -= float(step.log_probs[0, 0, token])
        step = language_model.advance(step.state, *_one(token))
    found = _loss(model, [_example(code, ids=ids)], side, 3, random.Random(0))
    assert found == pytest.approx(total, rel=1e-4)


def test_the_loss_of_a_batch_is_the_mean_of_its_texts_whatever_their_length() -> None:
    model = _tiny_model().eval()
    batch = [_example((2, 5), ids=(3,)), _example((1,), ids=(4, 5, 6, 7)), _example((0, 3, 7), ids=(8, 9))]
    alone = [_loss(model, [e], Side.QUERY, 2, random.Random(0)) for e in batch]
    together = _loss(model, batch, Side.QUERY, 2, random.Random(0))
    assert together == pytest.approx(sum(alone) / 3, rel=1e-4)


def test_the_first_values_part_is_exact_over_all_codes() -> None:
    model = _tiny_model()
    step = _TorchModel(model).start(["1 2"], Side.QUERY)
    ends = {}
    for value in (1, 4):
        ends[value] = -float(_TorchModel(model).advance(step.state, *_one(value)).log_probs[0, 0, END])
    first = -sum(share * float(step.log_probs[0, 0, value]) for value, share in ((1, 0.25), (4, 0.75)))
    # What follows is drawn: with one draw it is the end of either code.
    batch = [_example((1,), (4,), shares=(0.25, 0.75))]
    found = {round(_loss(model, batch, Side.QUERY, 1, random.Random(s)) - first, 4) for s in range(20)}
    assert found == {round(e, 4) for e in ends.values()}


def _one(token: int) -> tuple[IntArray, IntArray]:
    tokens = torch.tensor([[token]]).numpy()
    return torch.zeros(1, 1, dtype=torch.int64).numpy(), tokens


def test_batches_hold_every_text_once_a_pass() -> None:
    examples = [_example((i % 8,), ids=(i,) * (1 + i % 5)) for i in range(23)]
    stream = make_batches(examples, 4, random.Random(0))
    for _ in range(2):
        epoch = list(islice(stream, 6))
        assert sorted(len(batch) for batch in epoch) == [3, 4, 4, 4, 4, 4]
        assert Counter(e.ids[0] for batch in epoch for e in batch) == Counter(range(23))
    # Texts of like length come together, so that little is padded.
    assert all(len({len(e.ids) for e in batch}) <= 2 for batch in epoch)


def test_a_weight_says_how_often_a_text_is_read() -> None:
    weights = (1.0, 2.0, 0.25)
    examples = [replace(_example((0,), ids=(at,)), weight=weight) for at, weight in enumerate(weights)]
    stream = make_batches(examples, 1, random.Random(0))
    counts = Counter(batch[0].ids[0] for batch in islice(stream, 3250))  # about a thousand passes
    assert [counts[at] / 1000 for at in range(3)] == pytest.approx(weights, abs=0.05)


def test_texts_without_codes_or_weight_are_left_out() -> None:
    examples = [_example((1,), ids=(1,)), _example(ids=(2,)), replace(_example((3,), ids=(3,)), weight=0.0)]
    for batch in islice(draw_batches(examples, examples, (1, 1), drawn=2, seed=0), 5):
        assert [e.ids for e in (*batch.queries.examples, *batch.titles.examples)] == [(1,), (1,)]
        assert batch.queries.codes == [[(1,), (1,)]]
    with pytest.raises(InputError, match="none of 1 title texts has a code"):
        draw_batches(examples, [_example()], (1, 1), drawn=2, seed=0)


def test_a_tiny_model_learns_codes_of_both_sides_by_heart(tmp_path: Path) -> None:
    model = _tiny_model()
    queries = [_example(code, ids=(2, 10 + at, 3)) for at, code in enumerate([(0,), (1, 4), (2,), (3, 5, 7)])]
    titles = [_example(code, ids=(2, 10 + at, 3)) for at, code in enumerate([(6,), (2, 3), (0, 1), (4,)])]
    settings = SftSettings(
        steps=120,
        queries=4,
        titles=4,
        title_weight=0.5,
        drawn=2,
        encoder_rate=2e-3,
        decoder_rate=1e-2,
        seed=3,
    )
    with CurveWriter(tmp_path / "curves.csv") as curves:
        train_generator(model, queries, titles, settings, journal=Journal("sft", tmp_path / "state", curves))
    values = {(p.name, p.step): p.value for p in read_curves(tmp_path / "curves.csv") if p.stage == "sft"}
    assert set(values) == {(name, step) for name in ("loss", "query", "title") for step in range(1, 121)}
    assert values["loss", 120] < 0.3 < 3 < values["loss", 1]
    assert values["loss", 1] == pytest.approx(values["query", 1] + 0.5 * values["title", 1], rel=1e-4)
    everything = [c for size in (1, 2, 3) for c in combinations(range(8), size)]
    language_model, trie = _TorchModel(model), CodeTrie.build(everything)
    for side, examples in ((Side.QUERY, queries), (Side.TITLE, titles)):
        first = language_model.start([" ".join(map(str, e.ids)) for e in examples], side)
        greedy = beam_search(language_model, trie, first, width=1)
        assert [row[0].tokens for row in greedy] == [e.target.codes[0] for e in examples]


def test_frozen_parameters_stay() -> None:
    model = _tiny_model()
    words = model.encoder.embeddings.word_embeddings.weight
    words.requires_grad_(False)
    before = words.clone()
    train_generator(model, [_example((1,))], [_example((2,))], SftSettings(steps=3, queries=1, titles=1))
    assert torch.equal(words, before)
    assert not model.training
    ids, mask = pad([[1, 2, 3]])
    assert model.encode(ids, mask).dtype == torch.float32  # training in bfloat16 leaves no trace


def test_training_is_repeatable_and_another_seed_differs() -> None:
    outcomes = []
    for seed in (5, 5, 6):
        model = _tiny_model()
        lessons = [_example((1, 2), (3,), ids=(1, at)) for at in range(4)]
        train_generator(model, lessons, lessons, SftSettings(steps=4, queries=2, titles=2, seed=seed))
        outcomes.append(model.decoder.tokens.weight.detach().clone())
    assert torch.equal(outcomes[0], outcomes[1])
    assert not torch.equal(outcomes[0], outcomes[2])


def test_a_broken_off_training_ends_in_the_same_weights(tmp_path: Path) -> None:
    """Draws and dropout go on where they were."""
    lessons = [_example((at, 6), (7,), ids=(1, at)) for at in range(6)]

    def train(name: str, *, breaks: bool) -> list[torch.Tensor]:
        objective = SftObjective(_tiny_model(), SftSettings())
        calls = count()

        def interrupt(*_: object) -> None:
            if breaks and next(calls) == 5:
                raise KeyboardInterrupt

        objective.register_forward_pre_hook(interrupt)
        with CurveWriter(tmp_path / f"{name}.csv") as curves:
            run_loop(
                objective,
                [RateGroup(list(objective.parameters()), 0.01)],
                lambda seed: draw_batches(lessons, lessons, (2, 2), drawn=2, seed=seed),
                LoopSettings(8, save_every=2),
                journal=Journal("sft", tmp_path / name, curves),
            )
        return [p.detach().clone() for p in objective.parameters()]

    whole = train("whole", breaks=False)
    with pytest.raises(KeyboardInterrupt):
        train("broken", breaks=True)
    assert max(p.step for p in read_curves(tmp_path / "broken.csv")) == 5  # the last save was after step 4
    resumed = train("broken", breaks=False)
    assert all(torch.equal(a, b) for a, b in zip(whole, resumed, strict=True))
    assert read_curves(tmp_path / "whole.csv") == read_curves(tmp_path / "broken.csv")


def test_pad_fills_with_zeros_and_says_where() -> None:
    ids, mask = pad([[5, 6, 7], [8]])
    assert ids.tolist() == [[5, 6, 7], [8, 0, 0]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]


def test_length_buckets_hold_every_place_once() -> None:
    assert list(length_buckets([3, 1, 2, 1, 5], 2)) == [[1, 3], [2, 0], [4]]


def test_mean_pool_leaves_padding_out() -> None:
    hidden = torch.tensor([[[3.0, 0.0], [0.0, 4.0], [100.0, 100.0]]])
    torch.testing.assert_close(mean_pool(hidden, torch.tensor([[1, 1, 0]])), torch.tensor([[0.6, 0.8]]))
