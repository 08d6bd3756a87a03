"""Gives each product of a catalogue its type: hard EM between the names in titles and a linear classifier.

A title offers names; their places say which is likely. A classifier reads the rest of the product (vector of the title
without these names, other values, words of descriptions, which fields are filled) and learns from the choice. It
answers for products that it has not learned from (folds), and the choice is made again with its answer. So
"Messenger notebook case 12 in" becomes a case like the cases it resembles, "processor 2.2 GHz Box" a processor, and
"EliteBook 2530p" a notebook although no word says so. A classifier that reads the names themselves repeats the first
choice, and is sure of it.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

import numpy as np
import scipy.sparse as sparse
from scipy.cluster.vq import kmeans2

from gram_os.arrays import FloatArray, IntArray
from gram_os.reading.names import is_generic
from gram_os.train.mining.catalogue import MinedCatalogue
from gram_os.train.types.classifier import answer_types, read_context
from gram_os.train.types.lexicon import Candidate, TypeLexicon
from gram_os.train.types.merging import find_merges
from gram_os.train.types.name_fit import Embed, centre

LEAST_PRODUCTS: Final = 3  # products of a type; a rarer name is read as its end: "roaster oven" as "oven"
_ROUNDS = 3
_NEAR, _CENTRED = 0.37, 0.42  # cosines of a group's mean and its category, as they are and with both means taken off
_GROUP = 12  # products without a name that are named together
_NOT_NAMED = 6.0  # what it costs a type that the product's texts name others, in natural logarithms
_TRUST = 0.35  # of the classifier's logarithms: an accessory has the words of the thing that it is for
# Mean P of one type in a group without names, and the nearest categories of this type's mean title: where the group's
# category is among them, the classifier names the group.
_AGREED, _NEAREST = 0.3, 5
#: A generic word that is a type all the same: an accessory of a player is none, whatever it is.
_ACCESSORY: Final = "accessory"
_FAR = 10  # times the products of a rare type, from which a type is far commoner


@dataclass(frozen=True)
class Labels:
    """The types of a catalogue and of its products.

    names: the types' names, ascending. types: int64 (products,), places in `names`. probabilities: float32 (products,),
    of the chosen type under the classifier and the title. named: whether the title or a field names the type.
    synonyms: names that were merged into a type, each with the type's place.
    """

    names: Sequence[str]
    types: IntArray
    probabilities: FloatArray
    named: Sequence[bool]
    synonyms: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Categories:
    """An open taxonomy's categories as types that a catalogue may have.

    names: each category's first name, normalised. vectors: float32 (categories, width), unit length.
    """

    names: Sequence[str]
    vectors: FloatArray

    def among(self, words: Container[str]) -> Categories:
        """Return the categories whose names have these words alone: who never says "lip" sells no lip gloss."""
        kept = [at for at, name in enumerate(self.names) if all(word in words for word in name.split())]
        return Categories([self.names[at] for at in kept], self.vectors[kept])

    @cached_property
    def centred(self) -> FloatArray:
        """The vectors less their mean, of unit length."""
        return centre(self.vectors)


def label_products(
    mined: MinedCatalogue,
    lexicon: TypeLexicon,
    vectors: FloatArray,
    texts: sparse.csr_matrix,
    embed: Embed,
    categories: Categories | None = None,
) -> Labels:
    """Give each product a type. A catalogue whose texts name no type has no types, and each product has the place -1.

    vectors: float32 (products, width), unit length, of the titles. texts: float (products, columns of `mined.own`),
    words of further texts. embed: of titles. categories: what products are named by whose texts name no type, group by
    group: a title alone says too little to the encoder ("Galaxy S10 6.1 in"), a dozen of them together say enough.
    """
    found = [lexicon.find_candidates(place) for place in range(len(mined.products))]
    candidates = [[Candidate(name, 10.0 * rank) for rank, name in enumerate(field)] or row
                  for field, row in zip(lexicon.fields, found, strict=True)]  # fmt: skip
    features = read_context(mined, [{candidate.name for candidate in row} for row in candidates], texts, embed)
    if categories is not None:
        said = np.asarray((mined.own + texts > 0).sum(0)).ravel()
        known = {value for value, column in mined.columns.items() if said[column] >= LEAST_PRODUCTS}
        categories = categories.among(known)
    if categories is not None and categories.names:
        _name_groups(candidates, lexicon, features, vectors, categories)
    else:
        categories = None
    names, offers, chosen = _offer(candidates, lexicon)
    if not names:
        return Labels((), chosen, np.zeros(len(found), np.float32), [False] * len(found))
    for _ in range(_ROUNDS):
        log_probs = answer_types(features, chosen, len(names))
        chosen = np.array([_choose(offer, row) for offer, row in zip(offers, log_probs, strict=True)], np.int64)
    same = {} if categories is None else _find_aliases(names, chosen, vectors, categories)
    counts = np.bincount(chosen, minlength=len(names)).tolist()
    dropped = [place for place, name in enumerate(names)
               if name in same or (counts[place] < LEAST_PRODUCTS and not lexicon.is_in_sources(name))]  # fmt: skip
    chosen = _choose_without(dropped, chosen, offers, log_probs)
    is_named = np.array([bool(row) for row in found])
    named = [bool(n) and int(kind) in offer for kind, offer, n in zip(chosen, offers, is_named, strict=True)]
    labels = Labels(names, chosen, np.exp(log_probs[np.arange(len(chosen)), chosen]), named)
    return _merge(labels, find_merges(names, chosen, log_probs, vectors, {**lexicon.acronyms, **same}))


def _offer(
    candidates: Sequence[Sequence[Candidate]], lexicon: TypeLexicon
) -> tuple[Sequence[str], Sequence[dict[int, float]], IntArray]:
    """Return the names that are types, ascending; what each product's texts offer, place -> penalty; the best offers.

    int64 (products,), -1 where nothing is offered.
    """

    def is_type(name: str, products: int) -> bool:
        says_something = not is_generic(name) or name == _ACCESSORY
        return says_something and (products >= LEAST_PRODUCTS or lexicon.is_in_sources(name))

    counts = Counter(row[0].name for row in candidates if row)
    ends = Counter(counts)  # a rare "paper cutter blade" counts as a "blade"
    for name, n in counts.items():
        if " " in name and not is_type(name, n) and lexicon.is_name(end := name.split()[-1]):
            ends[end] += n
    names = sorted(name for name, n in ends.items() if is_type(name, n))
    places = {name: at for at, name in enumerate(names)}
    offers = [_place_candidates(row, places) for row in candidates]
    best = np.array([min(offer, key=offer.__getitem__) if offer else -1 for offer in offers], np.int64)
    return names, offers, best


def _name_groups(
    candidates: list[list[Candidate]], lexicon: TypeLexicon, features: FloatArray, vectors: FloatArray,
    categories: Categories,
) -> None:  # fmt: skip
    """Name the products without a name, group by group, by the nearest category of a taxonomy.

    Where the classifier takes a group for a type that the category is near, it keeps to the classifier, but for what is
    named after the category: a "mobile phone battery" is no phone. A category that a group shares a word with beside
    its head is near for this word: "socket driver" is no board with a "Socket T". Changes `candidates`.
    """
    unnamed = np.array([place for place, row in enumerate(candidates) if not row], np.int64)
    if not len(unnamed):
        return
    names, _, chosen = _offer(candidates, lexicon)
    probabilities = (
        np.exp(answer_types(features, chosen, len(names))[unnamed]) if names else np.zeros((len(unnamed), 1))
    )
    mean = vectors.mean(0)
    for group in _group(features[unnamed]):
        members = unnamed[group].tolist()
        name = _name_group(vectors[members], categories, mean)
        best = int(probabilities[group].mean(0).argmax())
        if name is None:
            continue
        if names and probabilities[group, best].mean() >= _AGREED and not names[best].startswith(f"{name} "):
            near = np.argsort(-categories.vectors @ vectors[chosen == best].mean(0))[:_NEAREST].tolist()
            if name in {categories.names[place] for place in near}:
                continue
        titles = [[word for phrase in lexicon.phrases[place] for word in phrase.words] for place in members]
        sharing = sum(any(w.startswith(beside) for beside in name.split()[:-1] for w in words) for words in titles)
        if sharing < len(members) / 2:
            for place in members:
                candidates[place] = [Candidate(name, 0.0)]


def _find_aliases(
    names: Sequence[str], chosen: IntArray, vectors: FloatArray, categories: Categories
) -> dict[str, str]:
    """Return rare types that are another name of a far commoner one: `laptop` -> `notebook`.

    The taxonomy's category that the commoner type's titles are nearest to has this name. What has the rare name in its
    title is something else, because the shop has a name for the thing.
    """
    counts = np.bincount(chosen, minlength=len(names)).tolist()
    mean, found = vectors.mean(0), {}
    for place, name in enumerate(names):
        if counts[place] < _FAR * LEAST_PRODUCTS:
            continue
        other = _name_group(vectors[chosen == place], categories, mean)
        if other is None or other not in names or name.endswith(other) or other.endswith(name):
            continue
        if _FAR * counts[names.index(other)] <= counts[place]:
            found[other] = name
    return found


def _choose_without(
    rare: Sequence[int], chosen: IntArray, offers: Sequence[Mapping[int, float]], log_probs: FloatArray
) -> IntArray:
    """Choose again for the products of some types: a "USB stick" is no `stick` of its own.

    Changes the columns of these types in `log_probs`. Where these are all types, nothing changes.
    """
    if len(rare) == log_probs.shape[1]:
        return chosen
    log_probs[:, rare] = -np.inf
    found = chosen.copy()
    for place in np.flatnonzero(np.isin(chosen, rare)).tolist():
        kept = {kind: penalty for kind, penalty in offers[place].items() if kind not in rare}
        found[place] = _choose(kept, log_probs[place])
    return found


def _merge(labels: Labels, target: IntArray) -> Labels:
    """Give each type's products to the type that it becomes. target: int64 (types,), as of `find_merges`."""
    products = np.bincount(labels.types, minlength=len(labels.names))
    kept = np.flatnonzero((target == np.arange(len(target))) & (products > 0))
    places = np.full(len(target), -1)
    places[kept] = np.arange(len(kept))
    merged = {labels.names[at]: int(places[target[at]]) for at in range(len(target)) if target[at] != at}
    return replace(
        labels,
        names=[labels.names[at] for at in kept.tolist()],
        types=places[target[labels.types]],
        synonyms={name: place for name, place in merged.items() if place >= 0},
    )


def _group(features: FloatArray) -> list[IntArray]:
    """Part products into groups of some `_GROUP` that resemble each other, by k-means; places of each group."""
    count = max(1, len(features) // _GROUP)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # equal products leave groups empty; those are left out
        _, owners = kmeans2(features, count, iter=12, minit="++", seed=0, missing="warn")
    return [np.flatnonzero(owners == group) for group in range(count) if (owners == group).any()]


def _name_group(vectors: FloatArray, categories: Categories, centre: FloatArray) -> str | None:
    """Return the name of the category that a group's mean is nearest to, None where that is in doubt.

    In doubt: the cosine is small, or the nearest category is another one when the catalogue's mean title and the mean
    category are taken off. vectors: the titles of the group. centre: float32 (width,), the catalogue's mean title.
    """
    mean = vectors.mean(0)
    off = mean - centre
    plain = categories.vectors @ mean
    centred = categories.centred @ off / max(float(np.linalg.norm(off)), 1e-9)
    name = _find_nearest(plain, categories.names)
    sure = bool(name) and plain.max() >= _NEAR and centred.max() >= _CENTRED
    return name if sure and name == _find_nearest(centred, categories.names) else None


def _find_nearest(cosines: FloatArray, names: Sequence[str]) -> str:
    """Return the name of the nearest category, or of a near one that it is an accessory of.

    What has no name in its title is known by its model, and is rarely an accessory: phones are near "mobile phone" and
    "mobile phone battery". cosines: float32 (categories,).
    """
    near: list[str] = [names[place] for place in np.argsort(-cosines, kind="stable")[:_NEAREST].tolist()]
    things = [name for name in near[1:] if name and near[0].startswith(f"{name} ")]
    return things[0] if things else near[0]


def _place_candidates(candidates: Sequence[Candidate], places: Mapping[str, int]) -> dict[int, float]:
    """Return place -> penalty of the names that are types, or whose ends are."""
    found: dict[int, float] = {}
    for candidate in candidates:
        words = candidate.name.split()
        ends = (" ".join(words[start:]) for start in range(len(words)))
        place = next((places[end] for end in ends if end in places), None)
        if place is not None:
            found[place] = min(candidate.penalty, found.get(place, candidate.penalty))
    return found


def _choose(offer: Mapping[int, float], log_probs: FloatArray) -> int:
    """Choose a product's type: the likeliest by the classifier and by what its texts offer."""
    if not offer:
        return int(log_probs.argmax())
    scores = _TRUST * log_probs - _NOT_NAMED
    for place, penalty in offer.items():
        scores[place] = _TRUST * log_probs[place] - min(penalty, _NOT_NAMED)
    return int(scores.argmax())
