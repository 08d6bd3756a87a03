"""What a generator is taught at first: texts of both sides with their codes, and where its values start from.

Out of the catalogue alone: synthetic queries, known values and common words, coded by the teacher. Where there are clicks:
the initial codes that both sides exchange through them (GRAM section 2) on top.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sparse
from tokenizers import Tokenizer

from gram_os.arrays import FloatArray
from gram_os.text.own_values import query_values
from gram_os.train.lessons.clicks import Feedback
from gram_os.train.lessons.initial_codes import InitialCodes, TransferSettings, transfer_codes
from gram_os.train.lessons.synthesis import SyntheticQuery, product_surfaces, synthesise, value_queries
from gram_os.train.lessons.targets import Target, Teacher, merge_targets
from gram_os.train.mining.catalogue import Mined
from gram_os.train.models.encoder import QUERY_TOKENS, TITLE_TOKENS, embed

_TRANSFERRED = 0.5  # share of a clicked text's target that the codes from over its clicks make


@dataclass(frozen=True, slots=True)
class Lesson:
    """Texts of one side and the codes that they should get, in the dictionary's tokens."""

    texts: Sequence[str]
    targets: Sequence[Target]


@dataclass(frozen=True, slots=True)
class Lessons:
    """What a backbone is fine-tuned on: shoppers' queries (none without clicks), synthetic ones, and titles."""

    asked: Lesson
    made: Lesson
    titles: Lesson

    @property
    def weight(self) -> float:
        """How often a shopper's query is read in a pass: so often that these queries make half of it."""
        return max(1.0, len(self.made.texts) / len(self.asked.texts)) if self.asked.texts else 1.0


def synthetic_queries(mined: Mined, count: int, seed: int) -> list[SyntheticQuery]:
    """Queries with the products that they were made of."""
    surfaces = [product_surfaces(p, s, mined.attributes) for p, s in zip(mined.products, mined.spans, strict=True)]
    return synthesise(mined.products, surfaces, count=count, seed=seed, texts=mined.texts)


@dataclass(frozen=True, slots=True)
class Taught:
    """What the teacher gives: codes of shoppers' queries, of synthetic ones and of titles.

    values: float32 (values, width), where the dictionary's values start from.
    """

    asked: Lesson
    made: Lesson
    titles: Lesson
    values: FloatArray


def teach(
    mined: Mined,
    asked: Sequence[str],
    synthetic: Iterable[SyntheticQuery],
    encoder: Any,
    tokenizer: Tokenizer,
    *,
    words: bool,
) -> Taught:
    """All texts with the codes of a teacher that ranks by `encoder`.

    asked: shoppers' queries; `words` adds the tokenizer's common ones to the synthetic queries.
    """
    made = [query.text for query in synthetic] + value_queries(mined.dictionary.values)
    if words:
        made += [w for w in tokenizer.get_vocab() if w.isalpha() and w.isascii() and len(w) > 3]
    made = list(dict.fromkeys(made))
    titles = [product.title for product in mined.products]
    teacher = Teacher(mined, embed(encoder, tokenizer, titles, most=TITLE_TOKENS))

    def as_queries(texts: Sequence[str]) -> Lesson:
        own = [query_values(text, mined.normaliser, mined.dictionary, mined.vocabulary) for text in texts]
        vectors = embed(encoder, tokenizer, texts, most=QUERY_TOKENS)
        return Lesson(texts, teacher.query_targets(own, vectors))

    title_targets = teacher.title_targets(teacher.vectors, _other_texts(mined))
    values = value_vectors(mined, teacher.vectors)
    return Taught(as_queries(asked), as_queries(made), Lesson(titles, title_targets), values)


def value_vectors(mined: Mined, titles: FloatArray) -> FloatArray:
    """A vector for each value of the dictionary: the mean of the titles that hold it, less half of what all titles share.

    titles: float32 (products, width), unit length. Returns float32 (values, width), unit length. A text is near a value when
    it is near the products that have it, whatever the value's own spelling says to the encoder.
    """
    holders = np.zeros(len(mined.dictionary.values), np.int64)
    known = np.flatnonzero(mined.known >= 0)
    holders[mined.known[known]] = known
    held = mined.own.T.tocsr()[holders].astype(np.float32)
    vectors = held @ titles / np.maximum(np.asarray(held.sum(1)), 1) - 0.5 * titles.mean(0)
    found: FloatArray = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    return found.astype(np.float32)


def teach_clicks(
    mined: Mined, feedback: Feedback, asked: Lesson, titles: Lesson, settings: TransferSettings
) -> tuple[Lesson, Lesson, InitialCodes]:
    """Shoppers' queries and all titles with what they give each other through clicks beside what the teacher gave them."""
    columns = {
        query: [
            mined.columns[value]
            for value in query_values(query, mined.normaliser, mined.dictionary, mined.vocabulary)
            if value in mined.columns
        ]
        for query in asked.texts
    }
    found = transfer_codes(mined, feedback, columns, settings)
    queries = [
        merge_targets(target, found.queries[text], share=_TRANSFERRED) if text in found.queries else target
        for text, target in zip(asked.texts, asked.targets, strict=True)
    ]
    targets = [
        merge_targets(target, found.titles[at], share=_TRANSFERRED) if at in found.titles else target
        for at, target in enumerate(titles.targets)
    ]
    return Lesson(asked.texts, queries), Lesson(titles.texts, targets), found


def _other_texts(mined: Mined) -> sparse.csr_matrix:
    """Values in the products' other texts: float (products, columns)."""
    rows: list[int] = []
    columns: list[int] = []
    for row, product in enumerate(mined.products):
        text = " ".join(str(product.fields[name]) for name in mined.texts if product.fields.get(name))
        found = {mined.columns[value] for value in mined.normaliser.values(text[:1000]) if value in mined.columns}
        columns += found
        rows += [row] * len(found)
    return sparse.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), shape=mined.own.shape)


def write_lesson(lesson: Lesson, path: Path) -> None:
    """JSON lines, gzip: text, codes, shares."""
    with gzip.open(path, "wt", encoding="utf-8", compresslevel=3) as stream:
        for text, target in zip(lesson.texts, lesson.targets, strict=True):
            shares = [round(share, 6) for share in target.shares]
            stream.write(json.dumps([text, target.codes, shares], ensure_ascii=False) + "\n")


def read_lesson(path: Path) -> Lesson:
    """What `write_lesson` wrote."""
    texts: list[str] = []
    targets: list[Target] = []
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        for line in stream:
            text, codes, shares = json.loads(line)
            texts.append(text)
            targets.append(Target(tuple(tuple(code) for code in codes), tuple(shares)))
    return Lesson(texts, targets)
