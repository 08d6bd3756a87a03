"""Text -> codes: what the model generates, and what the text itself says, with the probabilities of their values.

Holds a bundle, a backbone (`LanguageModel`) and its way of writing codes (`CodeTokeniser`); knows neither the runtime
beneath nor the cluster.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate, islice
from math import exp
from operator import itemgetter

from gram_os.arrays import FloatArray, IntArray
from gram_os.catalogue import Product
from gram_os.model.bundle import Bundle
from gram_os.model.code_tokens import CodeTokeniser, ValueTokeniser
from gram_os.model.decode import Generated, LanguageModel, beam_search, likeliest_tokens, score_sequences
from gram_os.text.attribute import AttributeType, Side
from gram_os.text.code import MAX_CODES, Code
from gram_os.text.own_values import product_values, query_values

#: A keyword longer than this is not a value that anyone searches by; Lucene refuses terms above 32,766 bytes.
MAX_VALUE_CHARACTERS = 100

#: Titles that are coded together. Of 16 a core's cache still holds what one layer hands to the next; 64 are a fifth slower.
BATCH = 16
_SORTED = 256  # products that are sorted by the length of their titles, so that a batch pads little

_Coding = tuple[list[int], Future[list[list["ScoredCode"]]]]


@dataclass(frozen=True, slots=True)
class ScoredCode:
    """A code of one text.

    probabilities: P(value | text, side, values before) of each value of the code, the product over its tokens, None
    when the model does not know one of them; own: whether the text itself says it; weight: what it counts on its side of
    the pair score (pair_weights.py), a query's with the granularity's weight in it.
    """

    code: Code
    probabilities: tuple[float, ...] | None
    own: bool
    weight: float = 1.0

    @property
    def probability(self) -> float | None:
        """P(code | text, side), the closing token left out."""
        if self.probabilities is None:
            return None
        product = 1.0
        for probability in self.probabilities:
            product *= probability
        return product


class Generator:
    """Makes the codes of queries and of products with one model and two prompts.

    workers: batches of products that are coded at once, each in a thread of its own.
    """

    def __init__(
        self,
        bundle: Bundle,
        model: LanguageModel,
        tokeniser: CodeTokeniser | None = None,
        *,
        workers: int = 1,
    ):
        self.bundle = bundle
        self._workers = workers
        self._model = model
        self._dictionary = bundle.dictionary
        self._tokeniser = tokeniser or ValueTokeniser(bundle.dictionary)
        self._trie = bundle.trie

    def code_queries(self, texts: Sequence[str], *, width: int = MAX_CODES) -> list[list[ScoredCode]]:
        """Codes of queries: own values first, then the beam's `width` codes, likeliest first, then further single values."""
        bundle = self.bundle
        texts = [_read_text(text) for text in texts]
        own = [query_values(text, bundle.normaliser, self._dictionary, bundle.vocabulary) for text in texts]
        return self._code(texts, own, Side.QUERY, width, bundle.manifest.query_values)

    def code_products(self, products: Iterable[Product], *, batch: int = BATCH) -> Iterator[list[ScoredCode]]:
        """Codes of products in their order: own values, then generated codes; `batch` titles at a time, of like length.

        Up to `_SORTED` products are read ahead of those whose codes are returned, and coded while these are used.
        """
        stream = iter(products)
        pool = ThreadPoolExecutor(self._workers, thread_name_prefix="gram-os-coding")
        try:
            ahead = self._submit(pool, list(islice(stream, _SORTED)), batch)
            while ahead:
                coding, ahead = ahead, self._submit(pool, list(islice(stream, _SORTED)), batch)
                found = [
                    (place, codes)
                    for places, coded in coding
                    for place, codes in zip(places, coded.result(), strict=True)
                ]
                yield from (codes for _, codes in sorted(found, key=itemgetter(0)))
        finally:
            pool.shutdown(cancel_futures=True)

    def _submit(self, pool: ThreadPoolExecutor, products: Sequence[Product], batch: int) -> list[_Coding]:
        """Have some products coded, the longest titles first; their places and what becomes of them, by batch."""
        order = sorted(range(len(products)), key=lambda place: -len(products[place].title))
        batches = [order[start : start + batch] for start in range(0, len(order), batch)]
        return [(places, pool.submit(self._code_batch, [products[place] for place in places])) for places in batches]

    def type_of(self, value: str) -> AttributeType | None:
        """What a value says, None when it is not in the dictionary."""
        return self._dictionary.type_of(value)

    def _code_batch(self, products: Sequence[Product]) -> list[list[ScoredCode]]:
        bundle = self.bundle
        own = [
            product_values(
                product,
                bundle.manifest.attributes,
                bundle.normaliser,
                self._dictionary,
                bundle.manifest.texts,
            )
            for product in products
        ]
        texts = [_read_text(product.title) for product in products]
        return self._code(texts, own, Side.TITLE, bundle.manifest.title_codes, bundle.manifest.title_values)

    def _code(
        self, texts: Sequence[str], own: Sequence[Sequence[str]], side: Side, width: int, values: int
    ) -> list[list[ScoredCode]]:
        if not texts:
            return []
        kept = [[Code((v,)) for v in dict.fromkeys(said) if len(v) <= MAX_VALUE_CHARACTERS] for said in own]
        first = self._model.start(texts, side)
        generated = beam_search(self._model, self._trie, first, width=width)
        singles = zip(*likeliest_tokens(first, self._trie, values), strict=True)
        known = [
            {code: tokens for code in codes if (tokens := self._tokeniser.encode(code)) is not None} for codes in kept
        ]
        scored = score_sequences(self._model, first, [list(tokens.values()) for tokens in known])
        return [
            self._weigh(
                self._merge(codes, dict(zip(tokens, log_probs, strict=True)), found, *likely),
                len(codes),
                side,
            )
            for codes, tokens, log_probs, found, likely in zip(kept, known, scored, generated, singles, strict=True)
        ]

    def _merge(
        self,
        own: Sequence[Code],
        known: Mapping[Code, tuple[float, ...]],
        generated: Sequence[Generated],
        singles: IntArray,
        log_probs: FloatArray,
    ) -> dict[Code, tuple[float, ...] | None]:
        """A text's codes with the probabilities of their values, its own codes first."""
        found = {code: _own_probability(known.get(code)) for code in own}
        for item in generated:
            found.setdefault(self._tokeniser.decode(item.tokens), self._probabilities(item))
        for token, log_prob in zip(singles.tolist(), log_probs.tolist(), strict=True):
            found.setdefault(self._tokeniser.decode((token,)), (exp(log_prob),))
        return found

    def _weigh(self, found: Mapping[Code, tuple[float, ...] | None], own: int, side: Side) -> list[ScoredCode]:
        """A text's codes, of which the first `own` are its own, with their weights on its side of a pair."""
        pair, codes = self.bundle.manifest.pair, list(found)
        said = [place < own for place in range(len(codes))]
        weights = (pair.title if side is Side.TITLE else pair.query).weigh(codes, list(found.values()), said)
        if side is Side.QUERY:
            weights = [pair.of_length(len(code.values)) * weight for code, weight in zip(codes, weights, strict=True)]
        return list(map(ScoredCode, codes, found.values(), said, weights))

    def _probabilities(self, item: Generated) -> tuple[float, ...]:
        """P of each value, the closing token left out."""
        return value_probabilities(item.log_probs, self._tokeniser.value_lengths(item.tokens))


def value_probabilities(log_probs: Sequence[float], lengths: Sequence[int]) -> tuple[float, ...]:
    """Products over each value's tokens, of their natural log-probabilities; what stands after them is left out.

    >>> from math import log
    >>> [round(p, 6) for p in value_probabilities([log(0.5), log(0.5), log(0.25), log(0.9)], [2, 1])]
    [0.25, 0.25]
    """
    stops = accumulate(lengths)
    return tuple(exp(sum(log_probs[stop - size : stop])) for stop, size in zip(stops, lengths, strict=True))


def _read_text(text: str) -> str:
    """The text without lone surrogates, which bytes that are no UTF-8 leave in arguments, and no tokenizer takes."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _own_probability(log_probs: Sequence[float] | None) -> tuple[float, ...] | None:
    return None if log_probs is None else (exp(sum(log_probs)),)
