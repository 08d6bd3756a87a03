"""The type heads of a bundle: P(product type | text) on either side, from the encoder's sentence vector. Plain numpy.

    type-heads.npz    float16: into.S, into_bias.S, out.S, out_bias.S, types.S, types_bias.S for each side S

A head adds what it has learnt to the vector z of a text, and compares the sum with a vector of each type:
logits = types (z + out gelu(into z)). This module knows neither texts nor the names of types.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zipfile import BadZipFile

import numpy as np

from gram_os.arrays import FloatArray
from gram_os.errors import BundleError
from gram_os.files.array_file import map_arrays, write_arrays
from gram_os.text.attribute import Side

FILE: Final = "type-heads.npz"
_PARTS: Final = ("into", "into_bias", "out", "out_bias", "types", "types_bias")
_GELU: Final = np.float32(np.sqrt(2 / np.pi))


@dataclass(frozen=True)
class TypeHeads:
    """Both heads. arrays: "into.query" and so on, float32 (out, in) matrices and (out,) biases."""

    arrays: Mapping[str, FloatArray]

    @classmethod
    def load(cls, file: Path) -> TypeHeads:
        """Read the heads. Raises BundleError for a file that holds none."""
        try:
            stored = map_arrays(file)
            names = [f"{part}.{side.value}" for side in Side for part in _PARTS]
            return cls({name: np.asarray(stored[name], np.float32) for name in names})
        except (ValueError, KeyError, OSError, BadZipFile) as error:
            raise BundleError(f"{file} holds no type heads ({error}); export the bundle again") from error

    def save(self, file: Path) -> None:
        """Write the heads in half precision."""
        write_arrays(file, {name: array.astype(np.float16) for name, array in self.arrays.items()})

    def log_probs(self, vectors: FloatArray, side: Side) -> FloatArray:
        """Return natural log-probabilities of the types: float32 (texts, width) -> (texts, types)."""
        into, into_bias, out, out_bias, types, types_bias = (self.arrays[f"{part}.{side.value}"] for part in _PARTS)
        hidden = _project(vectors, into) + into_bias
        hidden = 0.5 * hidden * (1 + np.tanh(_GELU * (hidden + np.float32(0.044715) * hidden**3)))  # gelu, tanh form
        logits = _project(vectors + _project(hidden, out) + out_bias, types) + types_bias
        logits -= logits.max(1, keepdims=True)
        found: FloatArray = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        return found


def _project(vectors: FloatArray, matrix: FloatArray) -> FloatArray:
    """Return vectors @ matrix.T: float32 (texts, in), (out, in) -> (texts, out).

    A matrix product would wake the threads of BLAS. They spin for a tenth of a second afterwards, on the cores that
    ONNX Runtime needs for the next batch: titles took 1.4 times as long. The sums here are small.
    """
    found: FloatArray = np.einsum("ti,oi->to", vectors, matrix)
    return found


def pool_sentences(states: FloatArray, mask: FloatArray) -> FloatArray:
    """Return the mean over the words of each text as a unit vector: float32 (texts, width).

    states: float32 (texts, words, width). mask: float32 (texts, words), 1 where there is text.
    """
    summed = (states * mask[..., None]).sum(1)
    found: FloatArray = summed / np.maximum(np.linalg.norm(summed, axis=1, keepdims=True), 1e-9)
    return found
