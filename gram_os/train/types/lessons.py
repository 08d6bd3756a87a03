"""What the type heads learn from: texts of both sides with the types that they should get.

A query learns from names and synonyms (as frequent as types are, by a Zipf law over their products), from the
taxonomy's categories, from everyday words (of the thesaurus and of the tokenizer), whose types the bridge guesses, and
from synthetic queries, each with the type of the product that it was made of. Words that no title holds reach a type
in this way. A title learns its own type.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import scipy.sparse as sparse

from gram_os.arrays import FloatArray, IntArray
from gram_os.text.heads import find_heads, split_phrases
from gram_os.text.normalise import Normaliser
from gram_os.text.product_types import TypeVocabulary
from gram_os.train.types.bridge import Bridge, spread_names
from gram_os.train.types.lexicon import TypeSources
from gram_os.train.types.name_fit import Embed
from gram_os.train.types.thesaurus import Thesaurus

_FILE: Final = "lessons.npz"
_LEAST_SHARE = 0.02  # of a type in a target; smaller ones are left out
_BROADER_SHARE = 0.7  # of a broader word's types in the target of a noun; the bridge's guess gets the rest
_MEANINGS = 2  # of a noun that are looked up
_SUPPORTED = 0.3  # of a category's mass that reaches types, before its name is a lesson
#: Lexicographer files whose nouns people shop for: artifacts, food, plants, substances.
_WANTED: Final = frozenset({6, 13, 20, 27})


@dataclass(frozen=True)
class TypeLessons:
    """Texts of queries, with shares of types: float32 sparse (queries, types), and how often each is read."""

    queries: Sequence[str]
    targets: sparse.csr_matrix
    weights: FloatArray

    def save(self, folder: Path) -> None:
        """Write them into a folder."""
        matrix = self.targets
        np.savez_compressed(
            folder / _FILE, queries=np.array(self.queries), data=matrix.data, indices=matrix.indices,
            indptr=matrix.indptr, shape=matrix.shape, weights=self.weights,
        )  # fmt: skip

    @classmethod
    def load(cls, folder: Path) -> TypeLessons:
        """Read what `save` wrote."""
        with np.load(folder / _FILE) as file:
            matrix = sparse.csr_matrix((file["data"], file["indices"], file["indptr"]), shape=tuple(file["shape"]))
            return cls(file["queries"].tolist(), matrix, file["weights"])


def make_lessons(
    vocabulary: TypeVocabulary,
    bridge: Bridge,
    sources: TypeSources,
    normaliser: Normaliser,
    embed: Embed,
    *,
    made: Iterable[tuple[str, int]],
    words: Iterable[str],
) -> TypeLessons:
    """Make the lessons of queries.

    made: synthetic queries, each with the type of its product. words: common words of the language.
    """
    texts: list[str] = []
    rows: list[sparse.csr_matrix | FloatArray] = []
    weights: list[float] = []
    named = spread_names(vocabulary)
    for name, row in named.items():
        texts.append(name)
        rows.append(row)
        weights.append(float(np.sqrt(sum(vocabulary.types[t].products for t in np.flatnonzero(row)))))
    if sources.taxonomy is not None and len(bridge.category_types):
        for category, row in zip(sources.taxonomy, bridge.category_types, strict=True):
            if row.sum() >= _SUPPORTED and row.max() >= _SUPPORTED:
                texts.append(category.name.lower())
                rows.append(row / row.sum())
                weights.append(1.0)
    everyday = list(dict.fromkeys([*_list_nouns(sources.thesaurus), *words]))
    guesses = bridge.guess_types(embed(everyday)) if everyday else np.zeros((0, len(vocabulary)), np.float32)
    for word, guess in zip(everyday, guesses, strict=True):
        known = named.get(normaliser.value(word))
        if known is None:
            broader = _look_up(word, named, sources.thesaurus, normaliser)
            known = guess if broader is None else _BROADER_SHARE * broader + (1 - _BROADER_SHARE) * guess
        texts.append(word)
        rows.append(known)
        weights.append(1.0)
    blocks = [sparse.csr_matrix(_cut(np.stack(rows)))]
    made = list(made)
    types = np.array([kind for _, kind in made], np.int64)
    blocks.append(_one_hot(types, len(vocabulary)))
    texts += [text for text, _ in made]
    weights += [1.0] * len(made)
    targets = sparse.csr_matrix(sparse.vstack(blocks, format="csr"), dtype=np.float32)
    return TypeLessons(texts, targets, np.array(weights, np.float32))


def head_type(text: str, vocabulary: TypeVocabulary, normaliser: Normaliser) -> int | None:
    """Return the type that a text names at its first head, None without one."""
    heads = find_heads(split_phrases(text, normaliser), vocabulary)
    return heads[0].types[0] if heads else None


def _look_up(
    word: str, named: Mapping[str, FloatArray], thesaurus: Thesaurus | None, normaliser: Normaliser
) -> FloatArray | None:
    """Return the types of another word for the same thing, or of a broader one; None where no type has either."""
    if thesaurus is not None:
        for sense in thesaurus.synonyms(word):
            if sense.rank <= _MEANINGS and sense.domain in _WANTED:
                for other in (*sense.lemmas, *sense.broader):
                    if (row := named.get(normaliser.value(other))) is not None:
                        return row
    return None


def _list_nouns(thesaurus: Thesaurus | None) -> list[str]:
    """Return the nouns of one word that may be something to shop for, and those of two that people make."""
    if thesaurus is None:
        return []
    nouns = ((lemma, sense) for lemma, sense in thesaurus.nouns() if sense.domain in _WANTED)
    return [lemma for lemma, sense in nouns if " " not in lemma or (lemma.count(" ") == 1 and sense.artifact)]


def _cut(rows: FloatArray) -> FloatArray:
    """Leave out small shares, and scale the rest to 1."""
    kept = np.where(rows >= np.minimum(_LEAST_SHARE, rows.max(1, keepdims=True)), rows, 0)
    found: FloatArray = kept / np.maximum(kept.sum(1, keepdims=True), 1e-9)
    return found


def _one_hot(types: IntArray, count: int) -> sparse.csr_matrix:
    ones = np.ones(len(types), np.float32)
    return sparse.csr_matrix((ones, (np.arange(len(types)), types)), shape=(len(types), count))
