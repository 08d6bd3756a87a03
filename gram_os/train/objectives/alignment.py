"""Co-alignment (GRAM section 5): preference optimisation of the codes that both sides of a clicked pair have.

For a clicked pair (q, t), the codes that both sides have are positive (c_w). Those that only one side has are
negative (c_l).

    pi(c | q, t) = (pi(c | q) + pi(c | t)) / 2
    L = -mean over (c_w, c_l) of
        log sigmoid(beta_w n_w r(c_w) - beta_l n_l r(c_l))
    r(c) = log(pi(c | q, t) / pi_sft(c | q, t))

pi_sft is the frozen model that co-alignment starts from. n is the length penalty against the bias to short, coarse
codes: alpha = len / maxlen, n = sqrt(k) alpha. The paper leaves some points open. This is how they are read here:

- n multiplies the log-ratio. k is the number of the code's tokens, len that of its attribute values. maxlen is the
  number of attribute values of the longest code in the pair's two sets. So n is 1 where every code is one token.
- The mean is taken within a clicked pair first, so all clicked pairs count the same.
- Both models read without dropout: the ratio then shows what was learned, and not which units were dropped.
- The closing token is left out of pi(c), as in serving.

Works with any backbone that is a `CodeModel`.
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
    """A clicked pair: token ids of both texts, the codes that both sides have, and the codes that only one side has.

    longest: the number of attribute values of the longest code in either set, also when only some of the codes are
    drawn.
    """

    query: Sequence[int]
    title: Sequence[int]
    shared: tuple[Tokens, ...]
    unshared: tuple[Tokens, ...]
    longest: int


@dataclass(frozen=True, slots=True)
class AlignmentSettings:
    """How co-alignment is trained; batch: clicked pairs a step.

    beta_w, beta_l: how hard shared codes are pulled up and unshared codes are pushed down. The names are the paper's,
    the values are not.
    """

    steps: int = 150
    batch: int = 32
    beta_w: float = 0.2
    beta_l: float = 0.1
    length_penalty: bool = True
    codes: int = 4  # how many codes of each set are drawn for a pair at a step
    encoder_rate: float = 2e-5
    decoder_rate: float = 6e-5
    seed: int = 0


def compare_codes(
    query: Sequence[int],
    title: Sequence[int],
    query_codes: Iterable[Tokens],
    title_codes: Iterable[Tokens],
    *,
    count_values: Callable[[Tokens], int] = len,
) -> AlignedPair:
    """Sort the codes of a clicked pair's two sides into shared and unshared ones.

    count_values: the number of attribute values of a code, where a value may take several tokens.
    """
    left, right = set(query_codes), set(title_codes)
    longest = max(map(count_values, left | right), default=0)
    return AlignedPair(query, title, tuple(sorted(left & right)), tuple(sorted(left ^ right)), longest)


def draw_codes(pairs: Iterable[AlignedPair], most: int, rng: random.Random) -> list[AlignedPair]:
    """Draw at most `most` codes of each set; a pair with an empty set has nothing to compare and is left out."""
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
    """Return the function for `run_loop`: seed -> endless batches of the pairs with codes in both sets.

    Every pass over the pairs has a new order and newly drawn codes. Raises InputError where no pair has both a shared
    and an unshared code.
    """
    usable = [pair for pair in pairs if pair.shared and pair.unshared]
    if not usable:
        raise InputError(
            "no clicked pair has both a code that the sides share and one that they do not, so co-alignment has "
            "nothing to compare; generate more codes a text, or leave the stage out"
        )

    def epoch(rng: random.Random) -> Iterator[list[AlignedPair]]:
        order = rng.sample(usable, len(usable))
        for start in range(0, len(order), settings.batch):
            yield draw_codes(order[start : start + settings.batch], settings.codes, rng)

    return lambda seed: BatchStream(epoch, seed)


class AlignmentObjective(nn.Module):
    """The loss above over a batch of clicked pairs; the frozen model is a copy of the given model (after SFT)."""

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
        # In a list, so torch does not see the frozen copy and neither trains nor saves it with the model.
        self._frozen = [copy.deepcopy(model).eval().requires_grad_(False)]

    def train(self, mode: bool = True) -> AlignmentObjective:
        """Keep dropout off: with dropout in one model only, the ratio is noise before anything is learned."""
        super().train(mode)
        self.model.eval()
        return self

    def forward(self, batch: Sequence[AlignedPair]) -> dict[str, Tensor]:
        """Return the loss of a batch, and how often positive codes are ahead; every pair has codes in both sets."""
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
    """Compute the loss from log pi(c | q, t) of the model (`now`) and of the frozen model (`before`).

    now, before: one float (shared + unshared codes,) a pair. The result's "ahead" is the share of (c_w, c_l) in which
    c_w has the larger penalised log-ratio.
    """
    losses, ahead = [], []
    for pair, log_probs, frozen_log_probs in zip(batch, now, before, strict=True):
        ratio = log_probs - frozen_log_probs  # (shared + unshared,)
        if settings.length_penalty:
            ratio = ratio * length_penalties(pair, count_values).to(ratio.device)
        won, lost = ratio[: len(pair.shared)], ratio[len(pair.shared) :]
        margin = settings.beta_w * won[:, None] - settings.beta_l * lost[None, :]  # (shared, unshared)
        losses.append(-functional.logsigmoid(margin).mean())
        ahead.append((won.detach()[:, None] > lost.detach()[None, :]).float().mean())
    return {"loss": torch.stack(losses).mean(), "ahead": torch.stack(ahead).mean()}


def length_penalties(pair: AlignedPair, count_values: Callable[[Tokens], int] = len) -> Tensor:
    """Return n of each code, sqrt(tokens) x values / values of the longest code: float (shared + unshared,)."""
    codes = (*pair.shared, *pair.unshared)
    return torch.tensor([sqrt(len(code)) * count_values(code) / pair.longest for code in codes])


def log_pair_probs(model: CodeModel | nn.Module, batch: Sequence[AlignedPair]) -> list[Tensor]:
    """Return log pi(c | q, t) of each pair's shared and then unshared codes: one float (shared + unshared,) a pair."""
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
