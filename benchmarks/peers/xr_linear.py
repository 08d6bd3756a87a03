"""XR-Linear (libpecos): extreme multi-label classification, queries as inputs and products as labels.

As in arXiv 2106.12657: TF-IDF of word and character n-grams, a label tree over the products' features, linear rankers.
A product without a click is a label too. Every title is an instance of its product's label, so that the tree and the
rankers have data for it. The training runs in an environment of its own, see `xr_linear_worker.py`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.peers.interface import DEPTH, Benchmark, Rankings
from gram_os.errors import GramError

WORKER = Path(__file__).with_name("xr_linear_worker.py")


@dataclass(frozen=True)
class XrLinear:
    """The peer. Its fields are settings of libpecos. n-grams have up to `words` words or `characters` characters."""

    seed: int = 0
    words: int = 2
    characters: int = 4
    splits: int = 16
    leaf: int = 100
    cost: float = 1.0
    threshold: float = 0.01
    matcher_negatives: bool = False
    beam: int = 50
    post_processor: str = "l3-hinge"

    @property
    def name(self) -> str:
        """Name of its row."""
        return "xr_linear"

    def rank(self, bench: Benchmark, queries: Mapping[str, str]) -> Rankings:
        """Train on the clicks and the titles, and rank. Raises GramError without uv, or when the worker fails."""
        uv = _find_uv()
        place = {product.id: at for at, product in enumerate(bench.products)}
        train_ids = sorted({query_id for query_id, _ in bench.clicks})
        row = {query_id: at for at, query_id in enumerate(train_ids)}
        task = {
            "titles": _stem([product.title for product in bench.products]),
            "train_queries": _stem([bench.train.queries[query_id] for query_id in train_ids]),
            "clicks": [(row[query_id], place[product_id]) for query_id, product_id in bench.clicks],
            "queries": _stem(list(queries.values())),
            "settings": {
                **asdict(self),
                "threads": int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)),
            },
            "depth": DEPTH,
        }
        with tempfile.TemporaryDirectory(prefix="gram-os-xr-linear-") as scratch:
            folder = Path(scratch)
            (folder / "task.json").write_text(json.dumps(task), encoding="utf-8")
            _run_worker(uv, folder)
            with np.load(folder / "scores.npz") as found:
                indptr, indices, data = found["indptr"], found["indices"], found["data"]
        rankings: Rankings = {}
        for at, query_id in enumerate(queries):
            span = slice(indptr[at], indptr[at + 1])
            order = np.argsort(-data[span], kind="stable")
            rankings[query_id] = [(bench.products[indices[span][i]].id, float(data[span][i])) for i in order]
        return rankings


def _stem(texts: list[str]) -> list[str]:
    """Normalise words as GRAM does (stems, units), so that the peer does not lose by its words."""
    from benchmarks.peers.generative import words_of  # imports torch, which the rest of this module does not need

    return [" ".join(word.replace(" ", "_") for word in words) for words in words_of(texts)]


def _find_uv() -> str:
    uv = shutil.which("uv")
    if uv is None:
        raise GramError("XR-Linear needs uv on the PATH: libpecos runs in an environment of its own (pip install uv)")
    return uv


def _run_worker(uv: str, folder: Path) -> None:
    done = subprocess.run([uv, "run", "--script", WORKER, folder], capture_output=True, text=True, check=False)
    if done.returncode:
        raise GramError(f"XR-Linear failed:\n{done.stderr[-2000:]}")
