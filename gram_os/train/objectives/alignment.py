"""Co-alignment (GRAM section 5): preference optimisation of the codes that a clicked pair's two sides agree on.

For a clicked pair (q, t): positive codes c_w are those that both sides have, negative ones c_l those that one side alone has,

    pi(c | q, t) = (pi(c | q) + pi(c | t)) / 2
    L = -mean over (c_w, c_l) of
        log sigmoid( beta_w n_w log(pi(c_w | q, t) / pi_sft(c_w | q, t)) - beta_l n_l log(pi(c_l | q, t) / pi_sft(c_l | q, t)) )

pi_sft is the frozen model that co-alignment starts from, and n the length penalty against the bias to short, coarse
codes: alpha = len / maxlen, n = sqrt(k) alpha. What the paper leaves open is read thus: n multiplies the log-ratio; k is the
code's tokens, len its attribute values, and maxlen the attribute values of the longest code of the pair's two sets, so that
n is 1 where all of them are one token; the mean is taken within a clicked pair first, so that all clicked pairs count
alike; both models read without dropout, so that the ratio tells what was learned and not which units fell out. The
closing token is left out of pi(c), as it is in serving. Knows any backbone that is a `CodeModel`.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import log, sqrt
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from gram_os.errors import InputError
from gram_os.text.attribute import Side
from gram_os.text.dictionary import Tokens
from gram_os.train.loop.checkpoint import BatchStream
from gram_os.train.models.likelihood import CodeModel


@dataclass(frozen=True, slots=True)
class AlignedPair:
    """A clicked pair: token ids of both texts, and the codes that both sides have and that one side alone has.

    longest: attribute values of the longest code of either set; it stays when only some of the codes are drawn.
    """

    query: Sequence[int]
    title: Sequence[int]
    shared: tuple[Tokens, ...]
    unshared: tuple[Tokens, ...]
    longest: int


@dataclass(frozen=True, slots=True)
class AlignmentSettings:
    """How co-alignment is trained; batch is clicked pairs a step.

    beta_w, beta_l: how hard shared codes are pulled up and unshared ones pushed down; the names are the paper's, the
    values ours.
    """

    steps: int = 150
    batch: int = 32
    beta_w: float = 0.2
    beta_l: float = 0.1
    length_penalty: bool = True
    codes: int = 4  # of either set, drawn a pair and step
    encoder_rate: float = 2e-5
    decoder_rate: float = 6e-5
    seed: int = 0


def compare_codes(
    query: Sequence[int],
    title: Sequence[int],
    of_query: Iterable[Tokens],
    of_title: Iterable[Tokens],
    *,
    count_values: Callable[[Tokens], int] = len,
) -> AlignedPair:
    """Sort the codes of a clicked pair's two sides into shared and unshared.

    count_values: attribute values of a code, where these are not its tokens (`CodeTokeniser.value_lengths`).
    """
    ours, theirs = set(of_query), set(of_title)
    longest = max(map(count_values, ours | theirs), default=0)
    return AlignedPair(query, title, tuple(sorted(ours & theirs)), tuple(sorted(ours ^ theirs)), longest)


def draw_codes(pairs: Iterable[AlignedPair], most: int, rng: random.Random) -> list[AlignedPair]:
    """At most `most` codes of either set; pairs that lack one of the sets are left out, as nothing can be compared."""
    return [
        replace(
            pair,
            shared=tuple(rng.sample(pair.shared, min(most, len(pair.shared)))),
            unshared=tuple(rng.sample(pair.unshared, min(most, len(pair.unshared)))),
        )
        for pair in pairs
        if pair.shared and pair.unshared
    ]


def alignment_batches(
    pairs: Iterable[AlignedPair], settings: AlignmentSettings
) -> Callable[[int], BatchStream[list[AlignedPair]]]:
    """Return what `run_loop` asks for: seed -> endless batches of the pairs that can be compared, newly drawn every pass.

    Raises InputError where no pair has both a shared and an unshared code.
    """
    usable = [pair for pair in pairs if pair.shared and pair.unshared]
    if not usable:
        raise InputError(
            "no clicked pair has a code that both sides share and one that they do not, so co-alignment has nothing to "
            "compare; generate more codes a text, or leave the stage out"
        )

    def epoch(rng: random.Random) -> Iterator[list[AlignedPair]]:
        order = rng.sample(usable, len(usable))
        for start in range(0, len(order), settings.batch):
            yield draw_codes(order[start : start + settings.batch], settings.codes, rng)

    return lambda seed: BatchStream(epoch, seed)


class AlignmentObjective(nn.Module):
    """The loss above over a batch of clicked pairs, against a frozen copy of the model as it is now (after SFT)."""

    def __init__(
        self,
        model: nn.Module,
        settings: AlignmentSettings,
        *,
        count_values: Callable[[Tokens], int] = len,
    ):
        super().__init__()
        self.model = model
        self.settings = settings
        self._count_values = count_values
        # In a list, so that the frozen copy is neither trained nor saved with the model.
        self._frozen = [copy.deepcopy(model).eval().requires_grad_(False)]

    def train(self, mode: bool = True) -> AlignmentObjective:
        """Dropout stays off: with it on one side only, the ratio would be noise before anything is learned."""
        super().train(mode)
        self.model.eval()
        return self

    def forward(self, batch: Sequence[AlignedPair]) -> dict[str, Tensor]:
        """Batch of pairs, both of whose sets hold a code -> the loss, and how often positive codes are ahead."""
        now = log_pair_probs(self.model, batch)
        with torch.no_grad():
            self._frozen[0].to(now[0].device)
            before = log_pair_probs(self._frozen[0], batch)
        return alignment_loss(batch, now, before, self.settings, count_values=self._count_values)


def alignment_loss(
    batch: Sequence[AlignedPair],
    now: Sequence[Tensor],
    before: Sequence[Tensor],
    settings: AlignmentSettings,
    *,
    count_values: Callable[[Tokens], int] = len,
) -> dict[str, Tensor]:
    """The loss from log pi(c | q, t) of the model and of the frozen one: float (shared + unshared codes,) a pair.

    "ahead" is the share of (c_w, c_l) whose penalised log-ratio is the larger one for c_w.
    """
    losses, ahead = [], []
    for pair, ours, theirs in zip(batch, now, before, strict=True):
        ratio = ours - theirs  # (shared + unshared,)
        if settings.length_penalty:
            ratio = ratio * length_penalties(pair, count_values).to(ratio.device)
        won, lost = ratio[: len(pair.shared)], ratio[len(pair.shared) :]
        margin = settings.beta_w * won[:, None] - settings.beta_l * lost[None, :]  # (shared, unshared)
        losses.append(-functional.logsigmoid(margin).mean())
        ahead.append((won.detach()[:, None] > lost.detach()[None, :]).float().mean())
    return {"loss": torch.stack(losses).mean(), "ahead": torch.stack(ahead).mean()}


def length_penalties(pair: AlignedPair, count_values: Callable[[Tokens], int] = len) -> Tensor:
    """The n of each code, sqrt(tokens) x values / values of the longest one: float (shared + unshared,)."""
    codes = (*pair.shared, *pair.unshared)
    return torch.tensor([sqrt(len(code)) * count_values(code) / pair.longest for code in codes])


def log_pair_probs(model: CodeModel | nn.Module, batch: Sequence[AlignedPair]) -> list[Tensor]:
    """Log pi(c | q, t) of each pair's shared, then unshared codes: float (shared + unshared,) a pair."""
    codes = sorted({code for pair in batch for code in (*pair.shared, *pair.unshared)})
    place = {code: at for at, code in enumerate(codes)}
    rows = [[place[code] for code in (*pair.shared, *pair.unshared)] for pair in batch]
    wanted = torch.zeros(len(batch), len(codes), dtype=torch.bool)
    for row, places in enumerate(rows):
        wanted[row, places] = True
    backbone = cast(CodeModel, model)
    # A code's log-probability is the sum over its tokens: (texts, codes, tokens) -> (texts, codes)
    query = backbone.log_probs([pair.query for pair in batch], Side.QUERY, codes, wanted).sum(-1)
    title = backbone.log_probs([pair.title for pair in batch], Side.TITLE, codes, wanted).sum(-1)
    both = torch.logaddexp(query, title) - log(2)
    return [both[row, places] for row, places in enumerate(rows)]
