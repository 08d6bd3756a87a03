"""The type heads of a compact bundle: P(product type | text) on either side, over the encoder's sentence vector.

The encoder stays as it is, so its vectors are computed once and the heads train on them in a minute. They start as the
bridge between texts and types does, from cosines, so a word that no lesson holds still finds the types that the
pretrained encoder knows it near.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np
import scipy.sparse as sparse
import torch
from torch import Tensor, nn
from torch.nn import functional

from gram_os.arrays import FloatArray, IntArray
from gram_os.model.type_heads import TypeHeads as NumpyHeads
from gram_os.text.attribute import Side

_SHARPNESS = 20.0  # of the first logits: cosines times this


@dataclass(frozen=True, slots=True)
class TypeHeadSettings:
    """How the heads are trained. rate: AdamW's peak. hidden: width of the layer between vector and types."""

    epochs: int = 4
    batch: int = 512
    rate: float = 2e-3
    hidden: int = 256
    dropout: float = 0.1
    seed: int = 0


class TypeHeads(nn.Module):
    """Two heads over one vocabulary of types.

    A head adds what it learns to the vector itself: z + W2 gelu(W1 z), and compares that with a vector of each type.
    """

    def __init__(self, width: int, types: int, hidden: int):
        super().__init__()
        self.into = nn.ModuleList(nn.Linear(width, hidden) for _ in Side)
        self.out = nn.ModuleList(nn.Linear(hidden, width) for _ in Side)
        self.types = nn.ModuleList(nn.Linear(width, types) for _ in Side)
        for layer in self.out:
            nn.init.zeros_(cast("nn.Linear", layer).weight)
            nn.init.zeros_(cast("nn.Linear", layer).bias)

    def initialise(self, vectors: FloatArray) -> None:
        """Start from unit vectors of the types: float32 (types, width)."""
        for layer in self.types:
            linear = cast("nn.Linear", layer)
            with torch.no_grad():
                linear.weight.copy_(_SHARPNESS * torch.from_numpy(vectors))
                linear.bias.zero_()

    def forward(self, vectors: Tensor, side: Side, dropout: float = 0.0) -> Tensor:
        """Return natural log-probabilities of the types: float (texts, width) -> (texts, types)."""
        at = list(Side).index(side)
        hidden = functional.dropout(functional.gelu(self.into[at](vectors), approximate="tanh"), dropout, self.training)
        return functional.log_softmax(self.types[at](vectors + self.out[at](hidden)), -1)

    def to_numpy(self) -> NumpyHeads:
        """Return the heads as serving computes them."""
        arrays: dict[str, FloatArray] = {}
        for at, side in enumerate(Side):
            for name, layers in (("into", self.into), ("out", self.out), ("types", self.types)):
                linear = cast("nn.Linear", layers[at])
                arrays[f"{name}.{side.value}"] = linear.weight.detach().numpy()
                arrays[f"{name}_bias.{side.value}"] = linear.bias.detach().numpy()
        return NumpyHeads(arrays)


def train_type_heads(
    heads: TypeHeads,
    vectors: dict[Side, FloatArray],
    targets: dict[Side, sparse.csr_matrix],
    weights: dict[Side, FloatArray],
    settings: TypeHeadSettings,
) -> list[float]:
    """Train in place; return the loss of each epoch. Each side has a text's vector, shares of types and weight."""
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    optimizer = torch.optim.AdamW(heads.parameters(), lr=settings.rate, weight_decay=0.01)
    steps = settings.epochs * sum(-(-len(v) // settings.batch) for v in vectors.values())
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.rate, total_steps=steps + 1, pct_start=0.1)
    losses = []
    heads.train()
    for _ in range(settings.epochs):
        total, count = 0.0, 0
        for side, rows in _batches(weights, settings.batch, rng):
            wanted = torch.from_numpy(np.asarray(targets[side][rows].todense()))
            found = heads(torch.from_numpy(vectors[side][rows]), side, settings.dropout)
            loss = -(wanted * found).sum(-1).mean()
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            scheduler.step()
            total, count = total + float(loss.detach()), count + 1
        losses.append(total / count)
    heads.eval()
    return losses


def _batches(weights: dict[Side, FloatArray], size: int, rng: np.random.Generator) -> Iterator[tuple[Side, IntArray]]:
    """Yield batches of both sides in random order. A text is drawn as often as its weight says, with repetition."""
    batches: list[tuple[Side, IntArray]] = []
    for side, found in weights.items():
        drawn = rng.choice(len(found), len(found), p=found / found.sum())
        batches += [(side, drawn[start : start + size]) for start in range(0, len(drawn), size)]
    for at in rng.permutation(len(batches)).tolist():
        yield batches[at]
