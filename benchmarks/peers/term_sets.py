"""Term-set identifiers, as in AutoTSG (arXiv 2305.13859).

A product is identified by the set of its most important title terms. The terms are generated in any order. After each
term, an inverted index tells which sets have all terms so far. Different orders of the same terms are one beam, and its
probability is their sum. Two things differ from the paper. Importance is counted from clicks, not learned by a network
(section 3.1). Training draws random orders, without the paper's search for the likeliest order (section 3.3).
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.peers.generative import (
    QUERY_TOKENS,
    TITLE_TOKENS,
    Clicked,
    Lesson,
    Plan,
    Tokens,
    TorchModel,
    clicked_queries,
    data_fingerprint,
    embed_texts,
    encode_texts,
    fingerprint,
    in_batches,
    make_model,
    rank_down,
    train_model,
    trained_model,
    words_of,
)
from benchmarks.peers.interface import DEPTH, Benchmark, Rankings
from gram_os.arrays import DoubleArray, FloatArray, IntArray
from gram_os.model.decode import LanguageModel, Step
from gram_os.text.attribute import Side
from gram_os.train.models.compact import CompactModel

log = logging.getLogger(__name__)

PLAN = Plan(any_order=True)

PRIOR = 20.0  # number of imagined clicked titles with each term, in which queries name it at the mean rate of all terms


@dataclass(frozen=True, slots=True)
class TermSets:
    """The different term sets of a catalogue.

    `terms` is the vocabulary. `sets` are ascending tokens. `products` are the places in the catalogue with each set.
    """

    terms: list[str]
    sets: list[Tokens]
    products: list[list[int]]


@dataclass(frozen=True, slots=True)
class Prefix:
    """The terms that were generated so far, in any order.

    `score` is their natural log-probability, summed over orders. `row` is the beam of the step before that the
    likeliest order continues, and `last` is its last term.
    """

    terms: frozenset[int]
    score: float
    row: int
    last: int


@dataclass(frozen=True)
class TermSetPeer:
    """The peer. `beam` is the width of the search. The other fields change the training."""

    seed: int = 0
    beam: int = 100
    size: int = 6  # terms that identify a product
    least_products: int = 3  # titles that must have a term
    plan: Plan = PLAN
    encoder: Path | None = None  # folder; None is MiniLM

    @property
    def name(self) -> str:
        """Name of its row."""
        return "term_sets"

    def rank(self, bench: Benchmark, queries: Mapping[str, str]) -> Rankings:
        """Rank the products of generated sets by probability, then the products with the largest part of such a set."""
        clicked = clicked_queries(bench)
        titles = words_of([product.title for product in bench.products])
        sets = make_sets(titles, clicked, size=self.size, least_products=self.least_products)
        log.info("%d terms, %d sets of %d products", len(sets.terms), len(sets.sets), len(titles))
        model = TorchModel(self._model(bench, clicked, sets), self.encoder)
        index = SetIndex(sets.sets, len(sets.terms))
        popular = Counter(place for query in clicked for place in query.clicked)
        product_ids = [product.id for product in bench.products]
        found: Rankings = {}
        for query_ids, texts in in_batches(queries, 16):
            searched = search_sets(model, index, model.start(texts, Side.QUERY), width=self.beam)
            for query_id, result in zip(query_ids, searched, strict=True):
                scored = [
                    (place, score)
                    for at, score in result.whole
                    for place in sorted(sets.products[at], key=lambda p: (-popular[p], p))
                ]
                fill = (place for at in index.near(result.parts) for place in sets.products[at])
                found[query_id] = rank_down(scored, fill, DEPTH, product_ids)
        return found

    def _model(self, bench: Benchmark, clicked: Sequence[Clicked], sets: TermSets) -> CompactModel:
        key = fingerprint(asdict(self.plan), self.size, self.least_products, str(self.encoder), data_fingerprint(bench))
        path = bench.work / "models" / f"{self.name}-{self.seed}-{key}" / "model.pt"
        set_of = {place: tokens for tokens, places in zip(sets.sets, sets.products, strict=True) for place in places}

        def make() -> CompactModel:
            vectors: FloatArray = embed_texts(sets.terms, self.encoder)
            return make_model(vectors, self.size, self.seed, self.encoder)

        def train(model: CompactModel) -> None:
            texts = encode_texts([product.title for product in bench.products], TITLE_TOKENS, self.encoder)
            titles = [_lesson(text, [set_of.get(place)]) for place, text in enumerate(texts)]
            query_texts = encode_texts([query.text for query in clicked], QUERY_TOKENS, self.encoder)
            queries = [
                _lesson(text, [set_of.get(place) for place in query.clicked])
                for text, query in zip(query_texts, clicked, strict=True)
            ]
            train_model(model, queries, titles, self.plan, self.seed)

        return trained_model(path, make, train)


def _lesson(ids: Sequence[int], sets: Sequence[Tokens | None]) -> Lesson:
    known = tuple(tokens for tokens in sets if tokens)
    return Lesson(ids, known, (1 / len(known),) * len(known) if known else ())


def term_importance(titles: Sequence[Sequence[str]], clicked: Sequence[Clicked]) -> dict[str, float]:
    """Return term -> importance: how much the term tells about a product.

    importance = idf * rate. The rate is the share of clicks on titles with the term whose query names the term:
    (named + PRIOR * mean) / (clicked + PRIOR). The prior gives a term without clicks the mean rate of all terms.
    """
    counted = Counter(term for title in titles for term in set(title))
    in_clicked: Counter[str] = Counter()
    named: Counter[str] = Counter()
    for query, words in zip(clicked, words_of([query.text for query in clicked]), strict=True):
        for place in query.clicked:
            terms = set(titles[place])
            in_clicked.update(terms)
            named.update(terms & set(words))
    mean = named.total() / max(in_clicked.total(), 1)
    return {
        term: math.log(1 + len(titles) / count) * (named[term] + PRIOR * mean) / (in_clicked[term] + PRIOR)
        for term, count in counted.items()
    }


def make_sets(
    titles: Sequence[Sequence[str]], clicked: Sequence[Clicked], *, size: int, least_products: int
) -> TermSets:
    """Return sets of the `size` most important terms of each title. Titles without a known term get no set."""
    importance = term_importance(titles, clicked)
    counted = Counter(term for title in titles for term in set(title))
    chosen = [
        sorted({t for t in title if counted[t] >= least_products}, key=lambda t: (-importance[t], t))[:size]
        for title in titles
    ]
    terms = sorted({term for title in chosen for term in title})
    token = {term: at for at, term in enumerate(terms)}
    products: dict[Tokens, list[int]] = {}
    for place, title in enumerate(chosen):
        if title:
            products.setdefault(tuple(sorted(token[term] for term in title)), []).append(place)
    return TermSets(terms, list(products), list(products.values()))


class SetIndex:
    """An inverted index of sets: it finds the sets with given terms, and the terms that can follow.

    Answers for up to two terms are remembered, because many queries need them.
    """

    def __init__(self, sets: Sequence[Tokens], terms: int):
        self.rows: IntArray = np.full((len(sets), max(map(len, sets))), -1, np.int64)
        for at, tokens in enumerate(sets):
            self.rows[at, : len(tokens)] = tokens
        self.sizes = (self.rows >= 0).sum(1)
        sets_of, tokens_of = np.nonzero(self.rows >= 0)
        order = np.argsort(self.rows[sets_of, tokens_of], kind="stable")
        sorted_terms = self.rows[sets_of, tokens_of][order]
        self._postings = np.split(sets_of[order], np.searchsorted(sorted_terms, np.arange(1, terms)))
        self._next: dict[frozenset[int], IntArray] = {}

    def members(self, terms: frozenset[int]) -> IntArray:
        """Return the sets with all of `terms`, ascending."""
        rarest, *others = sorted(terms, key=lambda term: len(self._postings[term]))
        found = self._postings[rarest]
        for term in others:
            found = found[(self.rows[found] == term).any(1)]
        return found

    def following(self, terms: frozenset[int]) -> IntArray:
        """Return the other terms of the sets with all of `terms`, ascending. -1 comes first where `terms` are a set."""
        if terms in self._next:
            return self._next[terms]
        members = self.members(terms) if terms else np.arange(len(self.rows))
        beside = np.unique(self.rows[members])
        beside = beside[~np.isin(beside, [-1, *terms])]
        if terms and (self.sizes[members] == len(terms)).any():
            beside = np.concatenate(([-1], beside))
        if len(terms) < 3:
            self._next[terms] = beside
        return beside

    def whole(self, terms: frozenset[int]) -> int:
        """Return the set that is exactly `terms`."""
        members = self.members(terms)
        return int(members[self.sizes[members] == len(terms)][0])

    def near(self, parts: Sequence[frozenset[int]]) -> Iterator[int]:
        """Yield the sets with each part, in the order of the parts. Sets repeat."""
        for terms in parts:
            yield from self.members(terms).tolist()


@dataclass(frozen=True, slots=True)
class SetsFound:
    """The result of a search.

    `whole` are whole sets with their log-probabilities, best first. `parts` are parts of sets, largest first, and the
    likeliest first among parts of one size.
    """

    whole: list[tuple[int, float]]
    parts: list[frozenset[int]]


def search_sets(model: LanguageModel, index: SetIndex, first: Step, *, width: int) -> list[SetsFound]:
    """Run a beam search over sets. `first` is the answer of `model.start` for the texts."""
    step = first
    beams = [[Prefix(frozenset(), 0.0, 0, 0)] for _ in first.log_probs]
    whole: list[dict[int, float]] = [{} for _ in beams]
    parts: list[list[list[Prefix]]] = [[] for _ in beams]
    while widest := _advance(beams, step, index, whole, model.end, width):
        for row, alive in enumerate(beams):
            parts[row].append(alive)
        parents = np.zeros((len(beams), widest), np.int64)
        tokens = np.zeros_like(parents)
        for row, alive in enumerate(beams):
            for at, beam in enumerate(alive):
                parents[row, at], tokens[row, at] = beam.row, beam.last
        step = model.advance(step.state, parents, tokens)
    return [
        SetsFound(
            sorted(found.items(), key=lambda item: (-item[1], item[0])),
            [beam.terms for level in reversed(levels) for beam in level],
        )
        for found, levels in zip(whole, parts, strict=True)
    ]


def _advance(
    beams: list[list[Prefix]],
    step: Step,
    index: SetIndex,
    whole: list[dict[int, float]],
    end: int,
    width: int,
) -> int:
    """Add beams that are whole sets to `whole`, and lengthen the others in place. Returns the most beams of a text."""
    for row, alive in enumerate(beams):
        longer: dict[frozenset[int], Prefix] = {}
        following = [index.following(beam.terms) for beam in alive]
        totals, owners, tokens = _continuations(alive, following, step.log_probs[row], end)
        # Different orders of one set are still separate here, so more continuations are read than beams are kept.
        for at in _best(totals, 4 * width):
            beam, token, score = alive[owners[at]], int(tokens[at]), float(totals[at])
            if token == -1:
                whole[row][index.whole(beam.terms)] = score
                continue
            terms = beam.terms | {token}
            known = longer.get(terms)
            if known is None:
                longer[terms] = Prefix(terms, score, int(owners[at]), token)
            else:  # the likeliest order came first; the model continues from its state
                longer[terms] = Prefix(terms, float(np.logaddexp(known.score, score)), known.row, known.last)
        ranked = sorted(longer.values(), key=lambda beam: (-beam.score, sorted(beam.terms)))
        beams[row] = ranked[:width]
    return max(map(len, beams), default=0)


def _continuations(
    alive: Sequence[Prefix], following: Sequence[IntArray], log_probs: FloatArray, end: int
) -> tuple[DoubleArray, IntArray, IntArray]:
    """Return the scores of all continuations, the beams that they continue, and their tokens (-1 closes a set)."""
    if not alive:
        return np.zeros(0), np.zeros(0, np.int64), np.zeros(0, np.int64)
    owners = np.repeat(np.arange(len(alive)), [len(tokens) for tokens in following])
    tokens = np.concatenate(following)
    gains = log_probs[owners, np.where(tokens < 0, end, tokens)].astype(np.float64)
    return np.array([beam.score for beam in alive])[owners] + gains, owners, tokens


def _best(totals: DoubleArray, most: int) -> IntArray:
    """Return the places of the `most` highest scores, best first. Equal scores keep their order."""
    kept = np.argpartition(-totals, most - 1)[:most] if len(totals) > most else np.arange(len(totals))
    return kept[np.lexsort((kept, -totals[kept]))]
