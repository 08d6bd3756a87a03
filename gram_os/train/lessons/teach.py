"""What a generator is taught at first: texts of both sides with their codes, and where its values start from.

The catalogue alone gives synthetic queries, known values and common words, with codes of the teacher. Clicks add the
initial codes that both sides exchange through them (GRAM section 2).
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sparse
from tokenizers import Tokenizer

from gram_os.arrays import FloatArray
from gram_os.text.own_values import long_texts, query_values
from gram_os.train.lessons.clicks import Feedback
from gram_os.train.lessons.initial_codes import InitialCodes, TransferSettings, transfer_codes
from gram_os.train.lessons.synthesis import SyntheticQuery, product_surfaces, synthesise, value_queries
from gram_os.train.lessons.targets import Target, merge_targets
from gram_os.train.lessons.teacher import Teacher
from gram_os.train.mining.catalogue import MinedCatalogue
from gram_os.train.models.encoder import QUERY_TOKENS, TITLE_TOKENS, embed

_TRANSFERRED = 0.5  # share of a clicked text's target that the other side's codes make
_HELD_OUT = 25  # one product of so many is in no title lesson


@dataclass(frozen=True, slots=True)
class TrainingTexts:
    """Texts of one side, and the codes that each should get, in the dictionary's tokens."""

    texts: Sequence[str]
    targets: Sequence[Target]

    def select(self, places: Sequence[int]) -> TrainingTexts:
        """Return some of the texts."""
        return TrainingTexts([self.texts[place] for place in places], [self.targets[place] for place in places])


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """What a backbone is fine-tuned on: queries with clicks (none without a click log), synthetic queries, titles."""

    clicked: TrainingTexts
    synthetic: TrainingTexts
    titles: TrainingTexts

    @property
    def weight(self) -> float:
        """How often a clicked query is read in a pass, so that clicked queries make half of all queries; at least 1."""
        if not self.clicked.texts:
            return 1.0
        return max(1.0, len(self.synthetic.texts) / len(self.clicked.texts))


def held_out(count: int) -> range:
    """Return the places of the products that no title lesson shows. They calibrate the relevance filter."""
    return range(0, count, _HELD_OUT)


def synthetic_queries(mined: MinedCatalogue, count: int, seed: int) -> list[SyntheticQuery]:
    """Queries with the products that they were made of."""
    surfaces = [product_surfaces(p, s, mined.attributes) for p, s in zip(mined.products, mined.spans, strict=True)]
    return synthesise(mined.products, surfaces, count=count, seed=seed, texts=mined.texts)


@dataclass(frozen=True, slots=True)
class TeacherAnswer:
    """What the teacher says of all texts.

    examples: each text with its codes. values: float32 (values, width), where the dictionary's values start from.
    """

    examples: TrainingSet
    values: FloatArray


def teach(
    mined: MinedCatalogue,
    clicked: Sequence[str],
    synthetic: Iterable[SyntheticQuery],
    encoder: Any,
    tokenizer: Tokenizer,
    *,
    words: bool,
) -> TeacherAnswer:
    """All texts with the codes of a teacher that ranks by `encoder`.

    clicked: the queries of the click log. words: add the tokenizer's common words to the synthetic queries.
    """
    texts = [query.text for query in synthetic] + value_queries(mined.dictionary.values)
    if words:
        texts += [w for w in tokenizer.get_vocab() if w.isalpha() and w.isascii() and len(w) > 3]
    texts = list(dict.fromkeys(texts))
    titles = [product.title for product in mined.products]
    teacher = Teacher(mined, embed(encoder, tokenizer, titles, most=TITLE_TOKENS))

    def code_queries(queries: Sequence[str]) -> TrainingTexts:
        own = [query_values(query, mined.normaliser, mined.dictionary, mined.vocabulary) for query in queries]
        vectors = embed(encoder, tokenizer, queries, most=QUERY_TOKENS)
        return TrainingTexts(queries, teacher.query_targets(own, vectors))

    title_targets = teacher.title_targets(teacher.vectors, other_texts(mined))
    values = value_vectors(mined, teacher.vectors)
    examples = TrainingSet(code_queries(clicked), code_queries(texts), TrainingTexts(titles, title_targets))
    return TeacherAnswer(examples, values)


def value_vectors(mined: MinedCatalogue, titles: FloatArray) -> FloatArray:
    """A vector for each value of the dictionary: the mean of its titles, less half of the mean of all titles.

    titles: float32 (products, width), unit length. Returns float32 (values, width), unit length. A text is near a
    value when it is near the products that have it, whatever the value's own spelling says to the encoder.
    """
    holders = np.zeros(len(mined.dictionary.values), np.int64)
    known = np.flatnonzero(mined.known >= 0)
    holders[mined.known[known]] = known
    held = mined.own.T.tocsr()[holders].astype(np.float32)
    vectors = held @ titles / np.maximum(np.asarray(held.sum(1)), 1) - 0.5 * titles.mean(0)
    found: FloatArray = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    return found.astype(np.float32)


def add_click_codes(
    mined: MinedCatalogue, feedback: Feedback, examples: TrainingSet, settings: TransferSettings
) -> tuple[TrainingSet, InitialCodes]:
    """The examples with the codes that clicked queries and titles exchange beside those of the teacher."""
    columns = {
        query: [
            mined.columns[value]
            for value in query_values(query, mined.normaliser, mined.dictionary, mined.vocabulary)
            if value in mined.columns
        ]
        for query in examples.clicked.texts
    }
    found = transfer_codes(mined, feedback, columns, settings)
    queries = [
        merge_targets(target, found.queries[text], share=_TRANSFERRED) if text in found.queries else target
        for text, target in zip(examples.clicked.texts, examples.clicked.targets, strict=True)
    ]
    titles = [
        merge_targets(target, found.titles[place], share=_TRANSFERRED) if place in found.titles else target
        for place, target in enumerate(examples.titles.targets)
    ]
    clicked = TrainingTexts(examples.clicked.texts, queries)
    return replace(examples, clicked=clicked, titles=TrainingTexts(examples.titles.texts, titles)), found


def other_texts(mined: MinedCatalogue) -> sparse.csr_matrix:
    """Values in the products' other texts: float (products, columns)."""
    rows: list[int] = []
    columns: list[int] = []
    for row, product in enumerate(mined.products):
        text = " ".join(long_texts(product, mined.texts))
        found = {mined.columns[value] for value in mined.normaliser.values(text[:1000]) if value in mined.columns}
        columns += found
        rows += [row] * len(found)
    return sparse.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=mined.own.shape)


def write_texts(examples: TrainingTexts, path: Path) -> None:
    """Write JSON lines, gzip: text, codes, shares."""
    with gzip.open(path, "wt", encoding="utf-8", compresslevel=3) as stream:
        for text, target in zip(examples.texts, examples.targets, strict=True):
            shares = [round(share, 6) for share in target.shares]
            stream.write(json.dumps([text, target.codes, shares], ensure_ascii=False) + "\n")


def read_texts(path: Path) -> TrainingTexts:
    """Read what `write_texts` wrote."""
    texts: list[str] = []
    targets: list[Target] = []
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        for line in stream:
            text, codes, shares = json.loads(line)
            texts.append(text)
            targets.append(Target(tuple(tuple(code) for code in codes), tuple(shares)))
    return TrainingTexts(texts, targets)
