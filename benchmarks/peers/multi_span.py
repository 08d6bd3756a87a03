"""Multi-span identifiers with preference optimisation, after arXiv 2407.19829, scored as in SEAL (arXiv 2204.10628).

An identifier is a span: one to three consecutive words of a title. A query generates many spans. The score of a product
is the sum over the spans in its title. Two things differ from the papers. A trie of the spans of several titles
replaces the FM-index, so spans of a single title are left out. Whole words replace word pieces.
"""

from __future__ import annotations

import logging
import math
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

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
    sequence_log_probs,
    train_model,
    trained_model,
    words_of,
)
from benchmarks.peers.interface import DEPTH, Benchmark, Rankings
from gram_os.arrays import DoubleArray
from gram_os.model.decode import Generated, beam_search
from gram_os.model.trie import CodeTrie
from gram_os.text.attribute import Side
from gram_os.train.models.compact import CompactModel

log = logging.getLogger(__name__)

PLAN = Plan(steps=340)  # the preference optimisation takes the rest of the time

LONGEST = 3  # words of a span


@dataclass(frozen=True)
class Spans:
    """The spans of a catalogue.

    `words` is the vocabulary, `counts` is span -> number of titles with it, `titles` are the spans of each title.
    """

    words: list[str]
    counts: dict[Tokens, int]
    titles: list[list[Tokens]]

    def idf(self, span: Tokens) -> float:
        """Return ln(number of titles / number of titles with the span)."""
        return math.log(len(self.titles) / self.counts[span])


@dataclass(frozen=True, slots=True)
class Preferences:
    """A query's preferences between spans.

    `ids` are its token ids. `better` are the spans that only clicked titles have, `worse` those that only titles have
    which were judged and not clicked.
    """

    ids: Sequence[int]
    better: list[Tokens]
    worse: list[Tokens]


@dataclass(frozen=True)
class MultiSpan:
    """The peer.

    `beam` is the number of spans that are generated for a query. `power` and `repeat_discount` are SEAL's alpha and
    beta. The other fields change the training. `preference_steps` = 0 leaves the preference optimisation out.
    """

    seed: int = 0
    beam: int = 100
    power: float = 2.0
    repeat_discount: float = 0.8
    least_products: int = 3  # titles that must have a span
    most_words: int = 16_000
    spans_a_query: int = 20
    rarity: float = 0.5  # power of idf in a span's share
    plan: Plan = PLAN
    encoder: Path | None = None  # folder; None is MiniLM
    preference_steps: int = 60
    preference_rate: float = 0.1  # of the peak rates of `plan`
    preference_beta: float = 0.1

    @property
    def name(self) -> str:
        """Name of its row."""
        return "multi_span"

    def rank(self, bench: Benchmark, queries: Mapping[str, str]) -> Rankings:
        """Rank products by the weights of the generated spans in their titles."""
        titles = words_of([product.title for product in bench.products])
        spans = find_spans(titles, least_products=self.least_products, most_words=self.most_words)
        log.info("%d words, %d spans", len(spans.words), len(spans.counts))
        model = TorchModel(self._model(bench, spans), self.encoder)
        trie = CodeTrie.build(spans.counts)
        scorer = SpanScorer(spans, power=self.power, repeat_discount=self.repeat_discount)
        product_ids = [product.id for product in bench.products]
        found: Rankings = {}
        for query_ids, texts in in_batches(queries, 16):
            generated = beam_search(model, trie, model.start(texts, Side.QUERY), width=self.beam)
            for query_id, written in zip(query_ids, generated, strict=True):
                found[query_id] = rank_down(scorer.score(written), iter(()), DEPTH, product_ids)
        return found

    def _model(self, bench: Benchmark, spans: Spans) -> CompactModel:
        """Return the model: fine-tuned on spans, then on preferences where there are steps. Both models are cached."""
        clicked = clicked_queries(bench)
        texts = encode_texts([query.text for query in clicked], QUERY_TOKENS, self.encoder)
        queries = [
            Lesson(text, *query_spans(spans, query, most=self.spans_a_query, rarity=self.rarity))
            for text, query in zip(texts, clicked, strict=True)
        ]
        titles = [
            Lesson(text, *_shares({span: spans.idf(span) ** self.rarity for span in title_spans}))
            for text, title_spans in zip(
                encode_texts([product.title for product in bench.products], TITLE_TOKENS, self.encoder),
                spans.titles,
                strict=True,
            )
        ]

        def make() -> CompactModel:
            return make_model(embed_texts(spans.words, self.encoder), LONGEST, self.seed, self.encoder)

        def prefer(model: CompactModel) -> None:
            model.load_state_dict(tuned.state_dict())
            pairs = find_preferences(spans, texts, clicked)
            log.info("%d of %d queries have preferences", len(pairs), len(clicked))
            gentle = replace(
                self.plan,
                steps=self.preference_steps,
                encoder_rate=self.plan.encoder_rate * self.preference_rate,
                decoder_rate=self.plan.decoder_rate * self.preference_rate,
            )
            loss = preference_loss(model, pairs, gentle, self.preference_beta, self.seed) if pairs else None
            train_model(model, queries, titles, gentle, self.seed, extra_loss=loss)

        tuned = trained_model(
            self._path(bench, "sft"),
            make,
            lambda model: train_model(model, queries, titles, self.plan, self.seed),
        )
        return trained_model(self._path(bench, "preference"), make, prefer) if self.preference_steps else tuned

    def _path(self, bench: Benchmark, stage: str) -> Path:
        trained = [self.least_products, self.most_words, self.spans_a_query, self.rarity, asdict(self.plan)]
        if stage == "preference":
            trained += [self.preference_steps, self.preference_rate, self.preference_beta]
        key = fingerprint(trained, str(self.encoder), data_fingerprint(bench))
        return bench.work / "models" / f"{self.name}-{self.seed}-{key}" / f"{stage}.pt"


def find_spans(titles: Sequence[Sequence[str]], *, least_products: int, most_words: int) -> Spans:
    """Return the spans of at least `least_products` titles, made of the `most_words` most frequent words."""
    counted = Counter(word for title in titles for word in set(title))
    common = sorted((w for w in counted if counted[w] >= least_products), key=lambda w: (-counted[w], w))[:most_words]
    token = {word: at for at, word in enumerate(common)}
    rows: list[list[Tokens]] = []
    for title in titles:
        known = [token.get(word, -1) for word in title]
        runs = (tuple(known[i : i + n]) for n in range(1, LONGEST + 1) for i in range(len(known) - n + 1))
        rows.append(sorted({run for run in runs if -1 not in run}))
    counts = Counter(span for row in rows for span in row)
    kept = {span: count for span, count in counts.items() if count >= least_products}
    return Spans(common, kept, [[span for span in row if span in kept] for row in rows])


def query_spans(
    spans: Spans, query: Clicked, *, most: int, rarity: float
) -> tuple[tuple[Tokens, ...], tuple[float, ...]]:
    """Return the `most` spans that describe the clicked titles best, and their shares.

    A span's share is proportional to the number of clicked titles with it, times idf ** rarity.
    """
    support = Counter(span for place in query.clicked for span in spans.titles[place])
    weights = {span: count * spans.idf(span) ** rarity for span, count in support.items()}
    best = sorted(weights, key=lambda span: (-weights[span], span))[:most]
    return _shares({span: weights[span] for span in best})


def _shares(weights: Mapping[Tokens, float]) -> tuple[tuple[Tokens, ...], tuple[float, ...]]:
    positive = {span: weight for span, weight in weights.items() if weight > 0}
    total = sum(positive.values())
    return tuple(positive), tuple(weight / total for weight in positive.values())


def find_preferences(spans: Spans, texts: Sequence[Sequence[int]], clicked: Sequence[Clicked]) -> list[Preferences]:
    """Return the preferences of the queries that have better and worse spans. `texts` are the queries' token ids."""
    found = []
    for ids, query in zip(texts, clicked, strict=True):
        good = {span for place in query.clicked for span in spans.titles[place]}
        bad = {span for place in query.passed_over for span in spans.titles[place]}
        if good - bad and bad - good:
            found.append(Preferences(ids, sorted(good - bad), sorted(bad - good)))
    return found


def preference_loss(
    model: CompactModel, pairs: Sequence[Preferences], plan: Plan, beta: float, seed: int
) -> Callable[[], Tensor]:
    """Return the loss of direct preference optimisation (arXiv 2305.18290, equation 7). Each call draws a new batch.

    The loss is -log sigmoid(beta * (gain of the better span - gain of the worse span)). A gain is log P(span | query)
    of the model during training, minus that of the model at the time of this call. `plan.drawn` pairs of spans are
    drawn for each query of a batch.
    """
    rng = random.Random(seed)
    reference = deepcopy(model).eval()

    def loss() -> Tensor:
        batch = rng.sample(pairs, min(plan.queries, len(pairs)))
        ids = [pair.ids for pair in batch]
        spans = [[*rng.choices(p.better, k=plan.drawn), *rng.choices(p.worse, k=plan.drawn)] for p in batch]
        with torch.no_grad():
            before = sequence_log_probs(reference, ids, spans)
        gains = sequence_log_probs(model, ids, spans) - before
        margins = gains[:, : plan.drawn] - gains[:, plan.drawn :]
        return -functional.logsigmoid(beta * margins).mean()

    return loss


class SpanScorer:
    """Scores products by generated spans, as SEAL does (arXiv 2204.10628, section 3.3.2)."""

    def __init__(self, spans: Spans, *, power: float, repeat_discount: float):
        self.power, self.repeat_discount = power, repeat_discount
        self._all = sum(spans.counts.values())
        self._counts = spans.counts
        holders: dict[Tokens, list[int]] = {}
        for place, row in enumerate(spans.titles):
            for span in row:
                holders.setdefault(span, []).append(place)
        self._holders = {span: np.array(places) for span, places in holders.items()}
        self._products = len(spans.titles)

    def weight(self, span: Generated) -> float:
        """Return how much likelier the span is for the query than among all spans: a log odds ratio, at least 0."""
        after = min(math.exp(span.score), 1 - 1e-6)
        before = self._counts[span.tokens] / self._all
        return max(0.0, math.log(after * (1 - before) / (before * (1 - after))))

    def score(self, written: Sequence[Generated]) -> list[tuple[int, float]]:
        """Return places of the products with a generated span, ascending, and their sum of weight ** power * cover.

        cover is 1 where none of the span's words is in a heavier span of the product, and 1 - repeat_discount where all
        are.
        """
        weighted = sorted(((self.weight(span), span.tokens) for span in written), key=lambda w: (-w[0], w[1]))
        column = {word: at for at, word in enumerate(sorted({word for _, span in weighted for word in span}))}
        covered = np.zeros((self._products, len(column)), np.bool_)
        scores: DoubleArray = np.zeros(self._products)
        for weight, span in weighted:
            places = self._holders[span]
            cells = np.ix_(places, np.array(sorted({column[word] for word in span})))
            new = 1 - covered[cells].mean(1)
            scores[places] += weight**self.power * (1 - self.repeat_discount + self.repeat_discount * new)
            covered[cells] = True
        scored = np.flatnonzero(scores > 0)
        return list(zip(scored.tolist(), scores[scored].tolist(), strict=True))
