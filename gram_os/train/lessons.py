"""What a generator is taught at first: texts of both sides with their codes, and the pairs that stand in for clicks.

Out of the catalogue alone: synthetic queries, known values and common words, coded by the teacher. Where there are clicks:
the initial codes that both sides exchange through them (GRAM section 2) on top.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse as sparse
from tokenizers import Tokenizer

from gram_os.clicks import Feedback
from gram_os.own_values import query_values
from gram_os.train.encoder import QUERY_TOKENS, TITLE_TOKENS, embed, load_encoder
from gram_os.train.initial_codes import InitialCodes, TransferSettings, transfer_codes
from gram_os.train.mining import Mined
from gram_os.train.synthesis import SyntheticQuery, product_surfaces, synthesise, value_queries
from gram_os.train.targets import Target, Teacher, merge_targets

_TRANSFERRED = 0.5  # share of a clicked title's target that its queries' codes make


@dataclass(frozen=True, slots=True)
class Lesson:
    """Texts of one side and the codes that they should get, in the dictionary's tokens."""

    texts: Sequence[str]
    targets: Sequence[Target]

    def followed_by(self, other: Lesson) -> Lesson:
        """Both, one after the other."""
        return Lesson([*self.texts, *other.texts], [*self.targets, *other.targets])


def synthetic_queries(mined: Mined, count: int, seed: int) -> list[SyntheticQuery]:
    """Queries with the products that they were made of."""
    surfaces = [
        product_surfaces(p, s, mined.attributes) for p, s in zip(mined.products, mined.spans, strict=True)
    ]
    return synthesise(mined.products, surfaces, count=count, seed=seed, texts=mined.texts)


def teach(
    mined: Mined, synthetic: Iterable[SyntheticQuery], tokenizer: Tokenizer, *, words: bool
) -> tuple[Lesson, Lesson]:
    """Queries and titles with the teacher's codes; `words` adds the encoder's common words as queries."""
    texts = [query.text for query in synthetic] + value_queries(mined.dictionary.values)
    if words:
        texts += [w for w in tokenizer.get_vocab() if w.isalpha() and w.isascii() and len(w) > 3]
    texts = list(dict.fromkeys(texts))
    titles = [product.title for product in mined.products]
    encoder = load_encoder()
    teacher = Teacher(mined, embed(encoder, tokenizer, titles, most=TITLE_TOKENS))
    own = [query_values(text, mined.normaliser, mined.dictionary, mined.vocabulary) for text in texts]
    query_targets = teacher.query_targets(own, embed(encoder, tokenizer, texts, most=QUERY_TOKENS))
    title_targets = teacher.title_targets(teacher.vectors, _other_texts(mined))
    return Lesson(texts, query_targets), Lesson(titles, title_targets)


def teach_clicks(
    mined: Mined, feedback: Feedback, titles: Lesson, settings: TransferSettings
) -> tuple[Lesson, Lesson, InitialCodes]:
    """The shoppers' queries with their codes, and all titles with what their queries give them."""
    columns = {
        query: [
            mined.columns[value]
            for value in query_values(query, mined.normaliser, mined.dictionary, mined.vocabulary)
            if value in mined.columns
        ]
        for query in feedback.by_query
    }
    found = transfer_codes(mined, feedback, columns, settings)
    targets = [
        merge_targets(target, found.titles[at], share=_TRANSFERRED) if at in found.titles else target
        for at, target in enumerate(titles.targets)
    ]
    return Lesson(list(found.queries), list(found.queries.values())), Lesson(titles.texts, targets), found


def _other_texts(mined: Mined) -> sparse.csr_matrix:
    """Values in the products' other texts: float (products, columns)."""
    rows: list[int] = []
    columns: list[int] = []
    for row, product in enumerate(mined.products):
        text = " ".join(str(product.fields[name]) for name in mined.texts if product.fields.get(name))
        found = {
            mined.columns[value] for value in mined.normaliser.values(text[:1000]) if value in mined.columns
        }
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
