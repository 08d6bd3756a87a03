"""Co-alignment (GRAM section 5): preference optimisation of the codes that a clicked pair's two sides agree on.

For a clicked pair (q, t): positive codes are those that both sides have, negative ones those that one side alone has, and

    pi(c | q, t) = (pi(c | q) + pi(c | t)) / 2
    L = -mean over pairs (c_w, c_l) of
        log sigmoid( beta_w n_w log(pi(c_w | q, t) / pi_sft(c_w | q, t)) - beta_l n_l log(pi(c_l | q, t) / pi_sft(c_l | q, t)) )

pi_sft is the frozen model that co-alignment starts from, and n the length penalty against the bias to short, coarse
codes. The paper gives alpha = len / maxlen and n = sqrt(k) alpha without saying what k and maxlen count; here k is the
code's tokens, len its attribute values and maxlen the longest code of the pair's two sets, so that n is 1 where both codes
hold one value. The closing token is left out of pi(c), as it is in serving. Knows any backbone that is a `CodeModel`.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional

from gram_os.attribute import Side
from gram_os.train.likelihood import CodeModel, Tokens


@dataclass(frozen=True, slots=True)
class AlignedPair:
    """A clicked pair: token ids of both texts, and the codes that both sides have and that one side alone has."""

    query: Sequence[int]
    title: Sequence[int]
    shared: tuple[Tokens, ...]
    unshared: tuple[Tokens, ...]


@dataclass(frozen=True, slots=True)
class AlignmentSettings:
    """How co-alignment is trained; beta_w and beta_l are the paper's, batch is clicked pairs a step."""

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
    query: Sequence[int], title: Sequence[int], of_query: Iterable[Tokens], of_title: Iterable[Tokens]
) -> AlignedPair:
    """Sort the codes of a clicked pair's two sides into shared and unshared."""
    ours, theirs = set(of_query), set(of_title)
    return AlignedPair(query, title, tuple(sorted(ours & theirs)), tuple(sorted(ours ^ theirs)))


def draw_codes(pairs: Sequence[AlignedPair], most: int, rng: random.Random) -> list[AlignedPair]:
    """At most `most` codes of either set; pairs that lack one of the sets are left out, as nothing can be compared."""
    return [
        AlignedPair(
            pair.query,
            pair.title,
            tuple(rng.sample(pair.shared, min(most, len(pair.shared)))),
            tuple(rng.sample(pair.unshared, min(most, len(pair.unshared)))),
        )
        for pair in pairs
        if pair.shared and pair.unshared
    ]


class AlignmentObjective(nn.Module):
    """The loss above over a batch of clicked pairs, against a frozen copy of the model."""

    def __init__(self, model: nn.Module, reference: nn.Module, settings: AlignmentSettings):
        super().__init__()
        self.model = model
        self.settings = settings
        # In a list, so that the frozen copy is neither trained nor saved nor switched to training with the model.
        self._frozen = [reference.eval().requires_grad_(False)]

    def forward(self, batch: Sequence[AlignedPair]) -> dict[str, Tensor]:
        """Batch of pairs, both of whose sets hold a code -> the loss, and by how much positive codes are ahead."""
        now = log_pair_probs(self.model, batch)
        with torch.no_grad():
            self._frozen[0].to(now[0].device)
            before = log_pair_probs(self._frozen[0], batch)
        return alignment_loss(batch, now, before, self.settings)


def alignment_loss(
    batch: Sequence[AlignedPair], now: Sequence[Tensor], before: Sequence[Tensor], settings: AlignmentSettings
) -> dict[str, Tensor]:
    """The loss from log pi(c | q, t) of the model and of the frozen one: float (shared + unshared codes,) a pair."""
    losses, ahead = [], []
    for pair, ours, theirs in zip(batch, now, before, strict=True):
        penalty = length_penalties(pair, settings.length_penalty).to(ours.device)
        ratio = penalty * (ours - theirs)
        won, lost = ratio[: len(pair.shared)], ratio[len(pair.shared) :]
        margin = settings.beta_w * won[:, None] - settings.beta_l * lost[None, :]  # (shared, unshared)
        losses.append(-functional.logsigmoid(margin).mean())
        ahead.append((won.detach()[:, None] > lost.detach()[None, :]).float().mean())
    return {"loss": torch.stack(losses).mean(), "ahead": torch.stack(ahead).mean()}


def length_penalties(pair: AlignedPair, used: bool) -> Tensor:
    """N of each code, the shared ones first: sqrt(tokens) x length / longest length of the pair's codes."""
    codes = (*pair.shared, *pair.unshared)
    longest = max(map(len, codes))
    return torch.tensor([sqrt(len(code)) * len(code) / longest if used else 1.0 for code in codes])


def log_pair_probs(model: CodeModel | nn.Module, batch: Sequence[AlignedPair]) -> list[Tensor]:
    """Log pi(c | q, t) of each pair's shared, then unshared codes."""
    codes = sorted({code for pair in batch for code in (*pair.shared, *pair.unshared)})
    place = {code: at for at, code in enumerate(codes)}
    rows = [[place[code] for code in (*pair.shared, *pair.unshared)] for pair in batch]
    wanted = torch.zeros(len(batch), len(codes), dtype=torch.bool)
    for row, places in enumerate(rows):
        wanted[row, places] = True
    assert isinstance(model, CodeModel)
    query = model.log_probs([pair.query for pair in batch], Side.QUERY, codes, wanted).sum(-1)
    title = model.log_probs([pair.title for pair in batch], Side.TITLE, codes, wanted).sum(-1)
    both = torch.logaddexp(query, title) - torch.log(torch.tensor(2.0))
    return [both[row, places] for row, places in enumerate(rows)]
