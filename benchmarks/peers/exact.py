"""Exact search over vectors in memory, so that no approximate index costs a dense peer quality."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks.peers.interface import DEPTH, Rankings
from gram_os.arrays import FloatArray, IntArray

QUERIES_AT_ONCE = 256


def rank_by_vectors(
    product_ids: Sequence[str], titles: FloatArray, query_ids: Sequence[str], queries: FloatArray
) -> Rankings:
    """Rank all products by the inner product of unit vectors: float32 (products, width) and (queries, width)."""
    found: Rankings = {}
    for start in range(0, len(query_ids), QUERIES_AT_ONCE):
        scores = queries[start : start + QUERIES_AT_ONCE] @ titles.T  # (queries, products)
        for query_id, row in zip(query_ids[start:], scores, strict=False):
            found[query_id] = [(product_ids[at], float(row[at])) for at in top_places(row, DEPTH)]
    return found


def top_places(scores: FloatArray, most: int) -> IntArray:
    """Return the places of the `most` highest scores, best first. Equal scores are in the order of places."""
    if most < len(scores):
        floor = np.partition(scores, -most)[-most]
        places = np.flatnonzero(scores >= floor)
    else:
        places = np.arange(len(scores))
    return np.asarray(places[np.argsort(-scores[places], kind="stable")][:most], dtype=np.int64)


def remember_vectors(
    folder: Path, name: str, texts: Sequence[str], encode: Callable[[Sequence[str]], FloatArray]
) -> FloatArray:
    """Return the vectors of texts by the model `name`, float32 (texts, width). They are kept in `folder`.

    A catalogue's vectors take minutes and do not depend on the queries, so every set of queries shares them.
    """
    digest = hashlib.sha256(json.dumps(list(texts)).encode()).hexdigest()[:12]
    path = folder / f"{name}-{digest}.npy"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        vectors = encode(texts)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            np.save(Path(scratch) / path.name, vectors)
            (Path(scratch) / path.name).replace(path)
    return np.asarray(np.load(path), dtype=np.float32)
