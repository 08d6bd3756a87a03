"""Catalogues whose product types are known, nouns to read them by, and an encoder that is a table of meanings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from gram_os.arrays import FloatArray
from gram_os.catalogue import Product
from gram_os.text.attribute import AttributeType as T
from gram_os.text.letters import letter_words
from gram_os.text.tagger import Span
from gram_os.train.mining.catalogue import MinedCatalogue, mine
from gram_os.train.types.thesaurus import Synset, Thesaurus

Row = tuple[str, str, str]  # a title, its brand and its product type, as the tagger marks them


def make_thesaurus(nouns: Mapping[str, str], *, domain: int = 6) -> Thesaurus:
    """Make a thesaurus of things that people make, each with the noun that is broader, "" for none.

    >>> [sense.broader for sense in make_thesaurus({"bag": "carrier", "carrier": ""}).synonyms("bags")]
    [('carrier',)]
    """
    offsets = {noun: at for at, noun in enumerate(nouns, start=1)}
    synsets = {
        offsets[noun]: Synset((noun,), (offsets[broader],) if broader else (), domain, instance=False, line=1)
        for noun, broader in nouns.items()
    }
    return Thesaurus(synsets, {noun: (at,) for noun, at in offsets.items()})


def mine_rows(
    rows: Sequence[Row], fields: Sequence[Mapping[str, object]] = (), texts: Sequence[str] = ()
) -> MinedCatalogue:
    """Mine a catalogue of titles with their spans. fields: of each product, none by default. texts: descriptions."""
    products = [Product(str(at), title, dict(fields[at]) if fields else {}) for at, (title, _, _) in enumerate(rows)]
    spans = [
        [_span(title, text, kind) for text, kind in ((brand, T.BRAND), (name, T.PRODUCT_TYPE)) if text]
        for title, brand, name in rows
    ]
    return mine(products, spans, texts=texts)


def _span(title: str, text: str, kind: T) -> Span:
    start = title.index(text)
    return Span(start, start + len(text), text, kind, kind.value, 0.9)


def make_encoder(meanings: Sequence[str]) -> Callable[[Sequence[str]], FloatArray]:
    """Make an encoder of words: those on one line of `meanings` mean the same. Other words mean nothing.

    >>> make_encoder(["notebook laptop", "bag"])(["Laptop bag", "bag"]).round(2).tolist()
    [[0.7099999785423279, 0.7099999785423279], [0.0, 1.0]]
    """
    axes = {word: at for at, line in enumerate(meanings) for word in line.split()}

    def embed(texts: Sequence[str]) -> FloatArray:
        vectors = np.zeros((len(texts), len(meanings)), np.float32)
        for row, text in enumerate(texts):
            for word in letter_words(text.lower()):
                if word in axes:
                    vectors[row, axes[word]] += 1
        found: FloatArray = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
        return found

    return embed
