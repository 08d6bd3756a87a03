"""The bridge between what people say and the types of a catalogue: an open taxonomy, a thesaurus, and an encoder.

Each title is near some categories of the taxonomy, and each product has a type. Over many products that tells which
types a category stands for, although the two have no word in common: "Laptops" and `notebook`. A category's names and
the thesaurus's words for a type become the type's synonyms. For any other text the encoder answers. Knows texts,
types and vectors. Knows no clicks.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import scipy.sparse as sparse

from gram_os.arrays import FloatArray, IntArray
from gram_os.text.normalise import Normaliser
from gram_os.text.product_types import ProductType, TypeVocabulary
from gram_os.train.types.labelling import Labels
from gram_os.train.types.lexicon import THINGS, TypeSources
from gram_os.train.types.name_fit import Embed, centre, unit
from gram_os.train.types.names import NameWords, split_names
from gram_os.train.types.thesaurus import Sense, Thesaurus

_NEAREST, _TEMPERATURE = 20, 0.02  # categories of a text, and the softmax over their cosines
_BLOCK: Final = 1024  # texts that are compared with all categories at once
_NAMED = 0.6  # share of a category whose name is a type's name that goes to this type
# Cosines of a type and the category that it is the same as, at least: of its mean title, and of its name.
_ALIKE, _NAMED_ALIKE = 0.35, 0.5
_DEPENDENT: Final = frozenset({"accessory", "part", "supply", "attachment", "component", "refill"})
_DIRECT = 0.5  # share of the encoder's own comparison with types, beside that over the taxonomy
_REACHED = 0.2  # of a text's mass over categories that products are near; below it the encoder alone answers
_TYPE_TEMPERATURE = 0.04
_USUAL: Final = 2  # first meanings of a word
_SENSES = 4  # meanings of a type's name that are compared with its products
# Cosines of a type's mean title and a meaning of its name, at least: of one of the first meanings that is an artifact,
# and of any other. Of "NAS" the thesaurus knows sodium alone.
_MEANT, _OTHERWISE_MEANT = 0.35, 0.5
_BESIDE = 0.3  # cosine of a type's mean title and a name that its category joins: a film is no television


@dataclass(frozen=True)
class Bridge:
    """What a text says about types by its meaning.

    category_vectors: float32 (categories, width), unit length. category_types: float32 (categories, types), P(type |
    category); a row of zeros is a category that no product is near. type_vectors: float32 (types, width), unit length.
    """

    category_vectors: FloatArray
    category_types: FloatArray
    type_vectors: FloatArray

    def guess_types(self, vectors: FloatArray) -> FloatArray:
        """Return P(type | text) of texts by their unit vectors: float32 (texts, types)."""
        blocks = [self._guess(vectors[start : start + _BLOCK]) for start in range(0, len(vectors), _BLOCK)]
        return np.concatenate(blocks) if blocks else np.zeros((0, len(self.type_vectors)), np.float32)

    def _guess(self, vectors: FloatArray) -> FloatArray:
        direct = _softmax(vectors @ self.type_vectors.T / _TYPE_TEMPERATURE)
        if not len(self.category_vectors):
            return direct
        places, shares = nearest_categories(vectors, self.category_vectors)
        rows = np.repeat(np.arange(len(vectors)), places.shape[1])
        near = sparse.csr_matrix((shares.ravel(), (rows, places.ravel())), (len(vectors), len(self.category_vectors)))
        over: FloatArray = near @ self.category_types
        reached = over.sum(1, keepdims=True)
        over = np.where(reached > _REACHED, over / np.maximum(reached, 1e-9), direct)
        found: FloatArray = (_DIRECT * direct + (1 - _DIRECT) * over).astype(np.float32)
        return found


def nearest_categories(vectors: FloatArray, categories: FloatArray) -> tuple[IntArray, FloatArray]:
    """Return the `_NEAREST` categories of texts and their shares: int64 and float32 (texts, nearest)."""
    most = min(_NEAREST, len(categories))
    cosines = vectors @ categories.T
    places = np.argpartition(-cosines, most - 1, axis=1)[:, :most]
    return places, _softmax(np.take_along_axis(cosines, places, 1) / _TEMPERATURE)


def build_bridge(
    labels: Labels, titles: FloatArray, sources: TypeSources, normaliser: Normaliser, embed: Embed
) -> tuple[TypeVocabulary, Bridge]:
    """Join the catalogue's types with what people call them.

    titles: float32 (products, width), unit vectors of the titles.
    """
    count = len(labels.names)
    products = np.bincount(labels.types, minlength=count)
    centres, written = _type_centres(labels, titles), embed(labels.names)
    synonyms: list[Counter[str]] = [Counter() for _ in range(count)]
    for name, place in labels.synonyms.items():
        synonyms[place][name] += 1
    category_types = np.zeros((0, count), np.float32)
    categories = np.zeros((0, titles.shape[1]), np.float32)
    if sources.taxonomy is not None:
        names = NameWords(category.name for category in sources.taxonomy)
        phrases = [
            [(value, name) for name in split_names(category.name, names) if (value := normaliser.value(name))]
            for category in sources.taxonomy
        ]
        normal = [[value for value, _ in row] for row in phrases]
        categories = embed([category.name for category in sources.taxonomy])
        category_types = _align(labels, titles, written, categories, normal, synonyms)
        _add_joined(labels.names, centres, phrases, embed, synonyms)
    if sources.thesaurus is not None:
        _add_thesaurus(labels.names, centres, sources, normaliser, embed, synonyms)
    vocabulary = _build_vocabulary(labels.names, products.tolist(), synonyms)
    vectors = unit(centres + written)
    return vocabulary, Bridge(categories, category_types, vectors)


def _align(
    labels: Labels,
    titles: FloatArray,
    written: FloatArray,
    categories: FloatArray,
    names: Sequence[Sequence[str]],
    synonyms: Sequence[Counter[str]],
) -> FloatArray:
    """Return P(type | category), and note the names of categories that stand for a type.

    written: float32 (types, width), unit vectors of the types' names. names: of each category, normalised.
    """
    votes = np.zeros((len(labels.names), len(categories)), np.float32)
    for start in range(0, len(titles), _BLOCK):
        places, shares = nearest_categories(titles[start : start + _BLOCK], categories)
        rows = np.repeat(labels.types[start : start + _BLOCK], places.shape[1])
        np.add.at(votes, (rows, places.ravel()), shares.ravel())
    shares = (votes / np.maximum(votes.sum(0), 1e-9)).T  # (categories, types)
    places_of = {name: place for place, name in enumerate(labels.names)}
    for category, row in enumerate(names):
        named = [places_of[name] for name in row if name in places_of]
        if named:
            shares[category] *= 1 - _NAMED
            shares[category, named] += _NAMED / len(named)
    for place, category in enumerate(_find_counterparts(labels, titles, categories)):
        if category >= 0 and float(written[place] @ categories[category]) >= _NAMED_ALIKE:
            synonyms[place].update(name for name in names[category] if not _depends(name))
    found: FloatArray = shares.astype(np.float32)
    return found


def _add_joined(
    names: Sequence[str],
    centres: FloatArray,
    phrases: Sequence[Sequence[tuple[str, str]]],
    embed: Embed,
    synonyms: Sequence[Counter[str]],
) -> None:
    """Add the names that a category joins with a type's name, and that are near its products.

    "Thin & Zero Clients" joins two names of one thing, "Film & Television" does not.

    phrases: the names of each category, normalised and as they are written.
    """
    places = {name: place for place, name in enumerate(names)}
    offers = []
    for row in phrases:
        others = [(value, phrase) for value, phrase in row if value not in places and not _depends(value)]
        offers += [(places[value], *other) for value, _ in row if value in places for other in others]
    vectors = embed([phrase for _, _, phrase in offers])
    for (place, value, _), vector in zip(offers, vectors, strict=True):
        if float(vector @ centres[place]) >= _BESIDE:
            synonyms[place][value] += 1


def _find_counterparts(labels: Labels, titles: FloatArray, categories: FloatArray) -> IntArray:
    """Return the category that each type's mean title is nearest to, -1 where that is in doubt: int64 (types,).

    In doubt: another category is the nearest once the means of all titles and of all categories are taken off.
    """
    plain = categories @ _mean_titles(labels, titles).T  # (categories, types)
    off = centre(categories) @ (_mean_titles(labels, titles) - titles.mean(0)).T
    best = plain.argmax(0)
    found: IntArray = np.where((best == off.argmax(0)) & (plain.max(0) >= _ALIKE), best, -1)
    return found


def _depends(name: str) -> bool:
    """Say whether a name is of things that belong to another thing: "mobile phone accessory"."""
    return name.split()[-1] in _DEPENDENT


def _add_thesaurus(
    names: Sequence[str],
    centres: FloatArray,
    sources: TypeSources,
    normaliser: Normaliser,
    embed: Embed,
    synonyms: Sequence[Counter[str]],
) -> None:
    """Add the words of the meaning that fits a type's products best: of "mouse" the device, not the animal.

    A meaning that is far from the products is none of theirs, and neither are its words.
    """
    assert sources.thesaurus is not None  # noqa: S101 (the caller looks)
    senses = [
        (place, sense)
        for place, name in enumerate(names)
        for sense in sources.thesaurus.synonyms(name)
        if sense.rank <= _SENSES and not sense.instance and sense.domain in THINGS
    ]
    vectors = embed([", ".join((*sense.lemmas, *sense.broader)) for _, sense in senses])
    lemmas = sorted({lemma for _, sense in senses for lemma in sense.lemmas})
    alone = dict(zip(lemmas, embed(lemmas), strict=True))
    best: dict[int, tuple[float, Sense]] = {}
    for (place, sense), vector in zip(senses, vectors, strict=True):
        near = float(vector @ centres[place])
        if place not in best or near > best[place][0]:
            best[place] = (near, sense)
    for place, (near, sense) in best.items():
        others = [lemma for lemma in sense.lemmas if normaliser.value(lemma) != names[place]]
        nearest = max([near, *(float(alone[lemma] @ centres[place]) for lemma in others)])
        if nearest < (_MEANT if sense.artifact and sense.rank <= _USUAL else _OTHERWISE_MEANT):
            continue
        common = [lemma for lemma in others if _usually_means(lemma, sense, sources.thesaurus)]
        synonyms[place].update(value for lemma in common if (value := normaliser.value(lemma)))


def _usually_means(lemma: str, sense: Sense, thesaurus: Thesaurus) -> bool:
    """Say whether a word has a meaning as one of its first two. A "phone" may be a headphone, but hardly ever is."""
    return any(other.lemmas == sense.lemmas and other.rank <= _USUAL for other in thesaurus.synonyms(lemma))


def _build_vocabulary(
    names: Sequence[str], products: Sequence[int], synonyms: Sequence[Counter[str]]
) -> TypeVocabulary:
    """Make the table. A type's broader types are the types that its name ends in: a patch cable is a cable."""
    known = set(names)
    found = []
    for name, count, words in zip(names, products, synonyms, strict=True):
        parts = name.split()
        ends = [end for start in range(1, len(parts)) if (end := " ".join(parts[start:])) in known]
        others = sorted(word for word in words if word != name)
        found.append(ProductType(name, count, tuple(ends), tuple(others)))
    return TypeVocabulary(tuple(found))


def _mean_titles(labels: Labels, titles: FloatArray) -> FloatArray:
    """Return the mean title of each type: float32 (types, width)."""
    chooser = sparse.csr_matrix(
        (np.ones(len(titles), np.float32), (labels.types, np.arange(len(titles)))), (len(labels.names), len(titles))
    )
    sums: FloatArray = chooser @ titles
    products = np.maximum(np.bincount(labels.types, minlength=len(sums)), 1)
    found: FloatArray = (sums / products[:, None]).astype(np.float32)
    return found


def _type_centres(labels: Labels, titles: FloatArray) -> FloatArray:
    """Return the mean title of each type, less half of the mean of all titles: unit vectors, float32 (types, width)."""
    return unit(_mean_titles(labels, titles) - 0.5 * titles.mean(0))


def _softmax(scores: FloatArray) -> FloatArray:
    exponents = np.exp(scores - scores.max(1, keepdims=True))
    found: FloatArray = (exponents / exponents.sum(1, keepdims=True)).astype(np.float32)
    return found


def spread_names(vocabulary: TypeVocabulary) -> dict[str, FloatArray]:
    """Return P(type | name) of each name and synonym, shared by the square roots of the types' products: (types,)."""
    found: dict[str, FloatArray] = {}
    weights = np.sqrt([max(kind.products, 1) for kind in vocabulary.types])
    names: dict[str, set[int]] = defaultdict(set)
    for kind in vocabulary.types:
        for name in (kind.name, *kind.synonyms):
            names[name].update(vocabulary.find(name))
    for name, places in names.items():
        row = np.zeros(len(vocabulary), np.float32)
        at = sorted(places)
        row[at] = weights[at]
        if name in vocabulary.places:
            row[vocabulary.places[name]] = row.sum() if row.sum() else 1.0
        found[name] = row / row.sum()
    return found
