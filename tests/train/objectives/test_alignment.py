"""Co-alignment: the loss by hand, the frozen copy, and what a few steps do to a model of a handful of numbers."""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence
from math import exp, log, sqrt
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from gram_os.errors import InputError
from gram_os.text.attribute import Side
from gram_os.text.dictionary import Tokens
from gram_os.train.loop.curves import CurveWriter, read_curves
from gram_os.train.loop.training_loop import Journal, LoopSettings, RateGroup, run_loop
from gram_os.train.objectives.alignment import (
    AlignedPair,
    AlignmentObjective,
    AlignmentSettings,
    alignment_batches,
    alignment_loss,
    compare_codes,
    draw_codes,
    length_penalties,
    log_pair_probs,
)

PLAIN = AlignmentSettings(beta_w=0.2, beta_l=0.1, length_penalty=False)
PENALISED = AlignmentSettings(beta_w=0.2, beta_l=0.1, length_penalty=True)


class FixedModel(nn.Module):
    """P(token) fixed for each side, whatever stands before."""

    def __init__(self, query: dict[int, float], title: dict[int, float]):
        super().__init__()
        self._sides = {Side.QUERY: query, Side.TITLE: title}

    def log_probs(self, texts: Sequence[Sequence[int]], side: Side, codes: Sequence[Tokens], wanted: Tensor) -> Tensor:
        found = torch.zeros(len(texts), len(codes), max(map(len, codes)))
        for row, column in wanted.nonzero().tolist():
            found[row, column, : len(codes[column])] = torch.tensor(
                [log(self._sides[side][token]) for token in codes[column]]
            )
        return found


class TinyModel(nn.Module):
    """Logits of six tokens for each text id and side, behind a dropout; tokens of a code are independent."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(2, 4, 6))  # (sides, text ids, tokens)
        self.drop = nn.Dropout(dropout)

    def log_probs(self, texts: Sequence[Sequence[int]], side: Side, codes: Sequence[Tokens], wanted: Tensor) -> Tensor:
        logits = self.drop(1 + self.weights[int(side is Side.TITLE)])
        chosen = logits[[text[0] for text in texts]].log_softmax(-1)  # (texts, tokens)
        longest = max(map(len, codes))
        found = [
            torch.stack([chosen[:, code[i]] if i < len(code) else chosen[:, 0] * 0 for i in range(longest)], 1)
            for code in codes
        ]
        return torch.stack(found, 1) * wanted[..., None]  # (texts, codes, longest)


def _pair(shared: tuple[Tokens, ...], unshared: tuple[Tokens, ...], longest: int = 1) -> AlignedPair:
    return AlignedPair([0], [0], shared, unshared, longest)


def _loss(settings: AlignmentSettings, won: float, lost: float, pair: AlignedPair) -> float:
    """The loss of a pair of one shared and one unshared code with these log-ratios."""
    now, before = [torch.tensor([won, lost])], [torch.zeros(2)]
    return float(alignment_loss([pair], now, before, settings)["loss"])


def _minus_log_sigmoid(margin: float) -> float:
    return log(1 + exp(-margin))


def test_codes_of_a_clicked_pair_are_sorted_into_shared_and_unshared() -> None:
    pair = compare_codes([7], [8], [(1,), (1, 2), (3,)], [(1, 2), (1,), (4, 5, 6)])
    assert pair == AlignedPair([7], [8], ((1,), (1, 2)), ((3,), (4, 5, 6)), 3)


def test_the_pairs_probability_is_the_mean_of_both_sides() -> None:
    model = FixedModel({1: 0.5, 2: 0.1, 3: 0.2}, {1: 0.1, 2: 0.4, 3: 0.3})
    pairs = [_pair(((1,),), ((1, 2),), 2), _pair(((3,),), ((2,),))]
    first, second = log_pair_probs(model, pairs)
    # (.5 + .1) / 2 = .3; (.5 x .1 + .1 x .4) / 2 = .045; (.2 + .3) / 2 = .25; (.1 + .4) / 2 = .25
    assert first.exp().tolist() == pytest.approx([0.3, 0.045])
    assert second.exp().tolist() == pytest.approx([0.25, 0.25])


def test_the_loss_by_hand() -> None:
    before = FixedModel({1: 0.2, 2: 0.2, 3: 0.2}, {1: 0.2, 2: 0.2, 3: 0.2})
    now = FixedModel({1: 0.6, 2: 0.1, 3: 0.3}, {1: 0.2, 2: 0.1, 3: 0.5})
    batch = [_pair(((1,), (3,)), ((2,),)), _pair(((1,),), ((2, 3),), 2)]
    found = alignment_loss(batch, log_pair_probs(now, batch), log_pair_probs(before, batch), PLAIN)
    # Ratios: code 1 (.6 + .2) / 2 / .2 = 2; code 3 .4 / .2 = 2; code 2 .1 / .2 = .5;
    # code (2, 3) (.1 x .3 + .1 x .5) / 2 / .04 = 1.
    first = _minus_log_sigmoid(0.2 * log(2) - 0.1 * log(0.5))
    second = _minus_log_sigmoid(0.2 * log(2) - 0.1 * log(1))
    assert float(found["loss"]) == pytest.approx((first + second) / 2, rel=1e-5)
    assert float(found["ahead"]) == 1


def test_all_clicked_pairs_count_alike_however_many_codes_they_have() -> None:
    batch = [_pair(((1,), (2,)), ((3,), (4,))), _pair(((1,),), ((2,),))]
    now = [torch.tensor([1.0, 2.0, 0.0, -1.0]), torch.tensor([-3.0, 1.0])]
    before = [torch.zeros(4), torch.zeros(2)]
    margins = [0.2 * w - 0.1 * x for w in (1.0, 2.0) for x in (0.0, -1.0)]
    first = sum(map(_minus_log_sigmoid, margins)) / 4
    second = _minus_log_sigmoid(0.2 * -3 - 0.1 * 1)
    found = alignment_loss(batch, now, before, PLAIN)
    assert float(found["loss"]) == pytest.approx((first + second) / 2, rel=1e-5)
    assert float(found["ahead"]) == pytest.approx(0.5)


def test_both_betas_pull_in_their_own_direction() -> None:
    pair = _pair(((1,),), ((2,),))

    def of(w: float, x: float, won: float, lost: float) -> float:
        settings = AlignmentSettings(beta_w=w, beta_l=x, length_penalty=False)
        return _loss(settings, won, lost, pair)

    # A shared code that rose lowers the loss, the more the larger beta_w; an unshared one raises it by beta_l.
    assert of(0.4, 0.1, 1, 0) < of(0.2, 0.1, 1, 0) < log(2) < of(0.2, 0.1, 0, 1) < of(0.2, 0.3, 0, 1)
    assert of(0.4, 0.1, 0, 1) == of(0.2, 0.1, 0, 1)
    assert of(0.2, 0.3, 1, 0) == of(0.2, 0.1, 1, 0)
    assert of(0.2, 0.1, 0, 0) == pytest.approx(log(2))


def test_the_length_penalty_by_hand() -> None:
    pair = _pair(((1,), (1, 2, 3)), ((4, 5),), 4)
    # n = sqrt(tokens) x values / 4
    expected = [1 * 1 / 4, sqrt(3) * 3 / 4, sqrt(2) * 2 / 4]
    assert length_penalties(pair).tolist() == pytest.approx(expected)
    # Where values take several tokens (a causal LM), len counts values: here each code is one value.
    assert length_penalties(pair, lambda code: 1).tolist() == pytest.approx([1 / 4, sqrt(3) / 4, sqrt(2) / 4])


def test_with_the_penalty_longer_shared_codes_pull_harder() -> None:
    coarse, fine = _pair(((1,),), ((2,),), 4), _pair(((1, 2, 3, 4),), ((2,),), 4)
    # n of the fine code is sqrt(4) x 4 / 4 = 2, of the coarse one 1 / 4.
    assert _loss(PENALISED, 1, 0, fine) == pytest.approx(_minus_log_sigmoid(0.2 * 2), rel=1e-5)
    assert _loss(PENALISED, 1, 0, coarse) == pytest.approx(_minus_log_sigmoid(0.2 / 4), rel=1e-5)
    assert _loss(PLAIN, 1, 0, fine) == _loss(PLAIN, 1, 0, coarse)


def test_pairs_that_lack_a_shared_or_an_unshared_code_are_left_out() -> None:
    pairs = [_pair(((1,),), ()), _pair((), ((2,),)), _pair(((1,), (3,)), ((2,),)), _pair((), ())]
    (drawn,) = draw_codes(pairs, 1, random.Random(0))
    assert len(drawn.shared) == 1
    assert drawn.unshared == ((2,),)
    (batch,) = next(alignment_batches(pairs, AlignmentSettings(codes=5))(0))
    assert set(batch.shared) == {(1,), (3,)}
    assert batch.unshared == ((2,),)
    with pytest.raises(InputError, match="nothing to compare"):
        alignment_batches(pairs[:2], AlignmentSettings())


def test_every_pass_takes_each_pair_once_and_follows_from_the_seed() -> None:
    pairs = [AlignedPair([at], [at], ((1,),), ((2,),), 1) for at in range(5)]
    settings = AlignmentSettings(batch=2)
    stream, again = (alignment_batches(pairs, settings)(3) for _ in range(2))
    passed = [next(stream) for _ in range(3)]
    assert sorted(pair.query[0] for batch in passed for pair in batch) == [0, 1, 2, 3, 4]
    assert [next(again) for _ in range(3)] == passed
    assert [next(stream) for _ in range(3)] != passed


PAIRS = [
    AlignedPair([1], [2], ((0,), (1, 2)), ((3,), (4, 5)), 2),
    AlignedPair([2], [1], ((0,),), ((5,),), 1),
]


def _run(model: TinyModel, steps: int, journal: Journal | None = None) -> AlignmentObjective:
    settings = AlignmentSettings(steps=steps, batch=2, beta_w=1, beta_l=1)
    objective = AlignmentObjective(model, settings)
    groups = [RateGroup(list(model.parameters()), 0.05, 0.0)]
    run_loop(objective, groups, alignment_batches(PAIRS, settings), LoopSettings(steps), journal=journal)
    return objective


def test_the_frozen_copy_is_neither_trained_nor_saved() -> None:
    model = TinyModel()
    start = copy.deepcopy(model.state_dict())
    objective = _run(model, 5)
    (frozen,) = objective._frozen
    assert torch.equal(frozen.state_dict()["weights"], start["weights"])
    assert not torch.equal(model.weights, start["weights"])
    assert [p.grad for p in frozen.parameters()] == [None]
    assert not any(p.requires_grad for p in frozen.parameters())
    assert all(p.requires_grad for p in model.parameters())
    assert set(objective.state_dict()) == {"model.weights"}
    assert len(list(objective.parameters())) == 1


def test_training_raises_shared_codes_on_both_sides_and_lowers_the_others() -> None:
    model = TinyModel()
    before = copy.deepcopy(model)
    _run(model, 20)
    for side, texts in ((Side.QUERY, ([1], [2])), (Side.TITLE, ([2], [1]))):
        for text, pair in zip(texts, PAIRS, strict=True):
            codes = (*pair.shared, *pair.unshared)
            every = torch.ones(1, len(codes), dtype=torch.bool)
            with torch.no_grad():
                ours = model.log_probs([text], side, codes, every).sum(-1)[0]
                theirs = before.log_probs([text], side, codes, every).sum(-1)[0]
            rose = (ours > theirs).tolist()
            assert rose == [True] * len(pair.shared) + [False] * len(pair.unshared)


def test_the_first_loss_is_log_2_even_where_the_model_has_dropout(tmp_path: Path) -> None:
    with CurveWriter(tmp_path / "curves.csv") as curves:
        _run(TinyModel(dropout=0.5), 1, Journal("align", tmp_path / "state", curves))
    losses = [point.value for point in read_curves(tmp_path / "curves.csv") if point.name == "loss"]
    assert losses == [pytest.approx(log(2), rel=1e-4)]
