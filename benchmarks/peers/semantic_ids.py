"""Residual-quantised semantic ids, as in TIGER (arXiv 2305.05065) and LC-Rec (arXiv 2311.09049).

A product's id has three codewords of residual k-means over its title vector, and a last token that distinguishes
products with the same codewords. Residual k-means replaces the RQ-VAE of TIGER, which later work found no better.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from sklearn.cluster import MiniBatchKMeans

from benchmarks.peers.generative import (
    QUERY_TOKENS,
    TITLE_TOKENS,
    Lesson,
    Plan,
    Tokens,
    TorchModel,
    clicked_queries,
    data_fingerprint,
    encode_texts,
    fingerprint,
    in_batches,
    make_model,
    rank_down,
    title_vectors,
    train_model,
    trained_model,
    unit,
)
from benchmarks.peers.interface import DEPTH, Benchmark, Rankings
from gram_os.arrays import FloatArray, IntArray
from gram_os.model.decode import beam_search
from gram_os.model.trie import CodeTrie
from gram_os.text.attribute import Side
from gram_os.train.models.compact import CompactModel

log = logging.getLogger(__name__)

PLAN = Plan(steps=500)  # more than other peers: the output layer is small, so a step costs less


@dataclass(frozen=True, slots=True)
class Quantised:
    """Ids of the products, and an initial vector for each token.

    `ids`: one unique sequence for each product. The tokens of level l begin at l * codewords. The tokens that
    distinguish products with the same codewords follow after the last level. `vectors`: float32 (tokens, width), unit
    length.
    """

    ids: list[Tokens]
    vectors: FloatArray


@dataclass(frozen=True)
class SemanticIds:
    """The peer. `beam` is the width of the search. The other fields change the training."""

    seed: int = 0
    beam: int = 200
    levels: int = 3
    codewords: int = 256
    plan: Plan = PLAN
    encoder: Path | None = None  # folder; None is MiniLM

    @property
    def name(self) -> str:
        """Name of its row."""
        return "semantic_ids"

    def rank(self, bench: Benchmark, queries: Mapping[str, str]) -> Rankings:
        """Rank the generated ids by probability, then the products that share the longest prefix with one."""
        quantised = quantise(title_vectors(bench, self.encoder), self.levels, self.codewords, self.seed)
        model = TorchModel(self._model(bench, quantised), self.encoder)
        neighbours = Neighbours(quantised.ids)
        product_ids = [product.id for product in bench.products]
        trie = CodeTrie.build(quantised.ids)
        found: Rankings = {}
        for query_ids, texts in in_batches(queries, 16):
            generated = beam_search(model, trie, model.start(texts, Side.QUERY), width=self.beam)
            for query_id, ids in zip(query_ids, generated, strict=True):
                scored = [(neighbours.place[g.tokens], g.score) for g in ids]
                fill = neighbours.near([g.tokens for g in ids])
                found[query_id] = rank_down(scored, fill, DEPTH, product_ids)
        return found

    def _model(self, bench: Benchmark, quantised: Quantised) -> CompactModel:
        key = fingerprint(asdict(self.plan), self.levels, self.codewords, str(self.encoder), data_fingerprint(bench))
        path = bench.work / "models" / f"{self.name}-{self.seed}-{key}" / "model.pt"

        def train(model: CompactModel) -> None:
            clicked = clicked_queries(bench)
            query_texts = encode_texts([query.text for query in clicked], QUERY_TOKENS, self.encoder)
            queries = [
                Lesson(
                    text,
                    tuple(quantised.ids[p] for p in query.clicked),
                    (1 / len(query.clicked),) * len(query.clicked),
                )
                for text, query in zip(query_texts, clicked, strict=True)
            ]
            texts = encode_texts([product.title for product in bench.products], TITLE_TOKENS, self.encoder)
            titles = [Lesson(text, (id_,), (1.0,)) for text, id_ in zip(texts, quantised.ids, strict=True)]
            train_model(model, queries, titles, self.plan, self.seed)

        return trained_model(
            path, lambda: make_model(quantised.vectors, self.levels + 1, self.seed, self.encoder), train
        )


def quantise(vectors: FloatArray, levels: int, codewords: int, seed: int) -> Quantised:
    """Quantise title vectors, float32 (products, width), by residual k-means.

    Where there are fewer products than codewords, the number of codewords is the number of products. Products with the
    same codewords are numbered in their order in the catalogue.
    """
    codewords = min(codewords, len(vectors))
    residual, prefixes, tables = vectors.copy(), [], []
    for level in range(levels):
        kmeans = MiniBatchKMeans(codewords, batch_size=4096, n_init=3, random_state=seed).fit(residual)
        nearest: IntArray = kmeans.predict(residual).astype(np.int64)
        centres = np.asarray(kmeans.cluster_centers_, np.float32)
        residual -= centres[nearest]
        prefixes.append(nearest + level * codewords)
        tables.append(centres)
    seen: dict[Tokens, int] = {}
    ids = []
    for prefix in map(tuple, np.stack(prefixes, axis=1).tolist()):
        ids.append((*prefix, levels * codewords + seen.setdefault(prefix, 0)))
        seen[prefix] += 1
    most = max(seen.values())
    log.info("%d products have %d ids of %d codewords, %d at most share one", len(ids), len(seen), levels, most)
    rest = np.random.default_rng(seed).normal(size=(most, vectors.shape[1]))
    return Quantised(ids, unit(np.concatenate([*tables, rest])))


class Neighbours:
    """Finds products by their ids, and products that share a prefix with an id."""

    def __init__(self, ids: Sequence[Tokens]):
        self.place = {id_: at for at, id_ in enumerate(ids)}
        self._under: dict[Tokens, list[int]] = {}
        for at, id_ in enumerate(ids):
            for length in range(1, len(id_)):
                self._under.setdefault(id_[:length], []).append(at)

    def near(self, generated: Sequence[Tokens]) -> Iterator[int]:
        """Yield places, those under the longest prefixes first. Equally long prefixes are in the order of `generated`.

        Places repeat.
        """
        longest = max(map(len, generated), default=0)
        for length in range(longest - 1, 0, -1):
            for prefix in dict.fromkeys(id_[:length] for id_ in generated):
                yield from self._under[prefix]
