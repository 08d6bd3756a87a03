"""How well a word names the products whose titles end a phrase with it, by what an encoder understands.

The word is taken out of each title. What is left of "LaserJet P1102 laser printer, 1200 DPI" is still near `printer`
for the encoder, and what is left of a "PCI Express" card is not near `express`. Knows words and vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeAlias

import numpy as np

from gram_os.arrays import FloatArray
from gram_os.text.normalise import Normaliser
from gram_os.train.types.titles import mask_title

#: Texts -> unit vectors, float32 (texts, width).
Embed: TypeAlias = Callable[[Sequence[str]], FloatArray]

LEAST_TITLES: Final = 5  # of a word that is weighed
_TITLES = 16  # that are read for a word


def weigh_names(titles: Mapping[str, Sequence[str]], normaliser: Normaliser, embed: Embed) -> dict[str, float]:
    """Return word -> cosine of the word and the mean of its titles without it, both less the mean over all words.

    titles: of each normalised word, those in which it ends a phrase. Words with fewer than `LEAST_TITLES` are left out.
    Around 0 the titles are as near to the word as to any other.
    """
    words = [word for word, row in titles.items() if len(row) >= LEAST_TITLES]
    if len(words) < 2:
        return {}

    rows = [_spread(titles[word]) for word in words]
    masked = [mask_title(title, {word}, normaliser) for word, row in zip(words, rows, strict=True) for title in row]
    stops = np.cumsum([0, *map(len, rows)])
    sums = np.add.reduceat(embed(masked), stops[:-1])
    vectors = (sums / np.diff(stops)[:, None]).astype(np.float32)
    cosines = (centre(vectors) * centre(embed(words))).sum(1)
    return dict(zip(words, cosines.tolist(), strict=True))


def _spread(row: Sequence[str]) -> Sequence[str]:
    """Return `_TITLES` of many titles, evenly spread."""
    return [row[place * len(row) // _TITLES] for place in range(_TITLES)] if len(row) > _TITLES else row


def centre(vectors: FloatArray) -> FloatArray:
    """Return the rows less their mean, of unit length."""
    return unit(vectors - vectors.mean(0))


def unit(vectors: FloatArray) -> FloatArray:
    """Return the rows at unit length; a row of zeros stays one."""
    found: FloatArray = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    return found.astype(np.float32)
