"""Gives each product of a catalogue its type: hard EM between the names in titles and a linear classifier.

A title offers names; their places say which is likely. A classifier reads the rest of the product (vector of the title
without these names, other values, words of descriptions, which fields are filled) and learns from the choice. It
answers for products that it has not learned from (two folds), and the choice is made again with its answer. So
"Messenger notebook case 12 in" becomes a case like the cases it resembles, "processor 2.2 GHz Box" a processor, and
"EliteBook 2530p" a notebook although no word says so. A classifier that reads the names themselves repeats the first
choice, and is sure of it.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Container, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from functools import cached_property
from types import MappingProxyType
from typing import Final

import numpy as np
import scipy.sparse as sparse
import torch
from scipy.cluster.vq import kmeans2
from torch import Tensor, nn
from torch.nn import functional

from gram_os.arrays import FloatArray, IntArray
from gram_os.reading.names import is_generic
from gram_os.train.mining.catalogue import MinedCatalogue
from gram_os.train.types.lexicon import Candidate, TypeLexicon
from gram_os.train.types.name_fit import Embed, centre, unit

LEAST_PRODUCTS: Final = 3  # products of a type; a rarer name is read as its end: "roaster oven" as "oven"
_ROUNDS, _FOLDS, _EPOCHS, _BATCH, _RATE = 3, 2, 5, 1024, 0.03
_RIVALS = 5  # types that are compared with a type before it is merged
_ALIKE, _SAME = (
    0.3,
    0.4,
)  # mean P of the other type for a type's products, before the two are one; where one is narrower
_RELATED = 0.7  # cosine of the mean titles of two siblings, from which they may be one type
_EQUAL = 0.8  # cosine of the mean titles of two types, less the mean of all, from which variants of a name are one type
_NEAR, _CENTRED = 0.37, 0.42  # cosines of a group's mean and its category, as they are and with both means taken off
_LEAST_STEPS = 50  # of the classifier, whose first steps are long: a small catalogue is read more than `_EPOCHS` times
_GROUP = 12  # products without a name that are named together
_RANK = 320  # dimensions of a product's words for the classifier
_NOT_NAMED = 6.0  # what it costs a type that the product's texts name others, in natural logarithms
_MISTAKEN = 0.1  # P that the classifier is plainly wrong; so a name at the best place is rarely overruled
_TRUST = 0.35  # of the classifier's logarithms: an accessory has the words of the thing that it is for
_TEXTS = 0.5  # of a value in a description, beside 1 of a value in a title or a field
# Mean P of one type in a group without names, and the nearest categories of this type's mean title: where the group's
# category is among them, the classifier names the group.
_AGREED, _NEAREST = 0.3, 5


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
    features = _features(mined, lexicon, [{candidate.name for candidate in row} for row in candidates], texts, embed)
    if categories is not None:
        said = np.asarray((mined.own + texts > 0).sum(0)).ravel()
        known = {value for value, column in mined.columns.items() if said[column] >= LEAST_PRODUCTS}
        categories = categories.among(known)
        _name_groups(candidates, lexicon, features, vectors, categories)
    names, offers, chosen = _offer(candidates, lexicon)
    if not names:
        return Labels((), chosen, np.zeros(len(found), np.float32), [False] * len(found))
    for _ in range(_ROUNDS):
        log_probs = _answer(features, chosen, len(names))
        chosen = np.array([_choose(offer, row) for offer, row in zip(offers, log_probs, strict=True)], np.int64)
    chosen = _drop_rare(chosen, offers, log_probs, names, lexicon)
    is_named = np.array([bool(row) for row in found])
    named = [bool(n) and int(kind) in offer for kind, offer, n in zip(chosen, offers, is_named, strict=True)]
    labels = Labels(names, chosen, np.exp(log_probs[np.arange(len(chosen)), chosen]), named)
    return _merge(labels, log_probs, vectors, lexicon.acronyms)


def _offer(
    candidates: Sequence[Sequence[Candidate]], lexicon: TypeLexicon
) -> tuple[Sequence[str], Sequence[dict[int, float]], IntArray]:
    """Return the names that are types, ascending; what each product's texts offer, place -> penalty; the best offers.

    int64 (products,), -1 where nothing is offered.
    """

    def is_type(name: str, products: int) -> bool:
        return not is_generic(name) and (products >= LEAST_PRODUCTS or lexicon.is_in_sources(name))

    counts = Counter(row[0].name for row in candidates if row)
    ends = Counter(counts)  # a rare "paper cutter blade" counts as a "blade"
    for name, n in counts.items():
        if not is_type(name, n) and lexicon.is_name(end := name.split()[-1]):
            ends[end] += n
    names = sorted(name for name, n in ends.items() if is_type(name, n))
    places = {name: at for at, name in enumerate(names)}
    offers = [_place_candidates(row, places) for row in candidates]
    best = np.array([min(offer, key=offer.__getitem__) if offer else -1 for offer in offers], np.int64)
    return names, offers, best


def _answer(features: FloatArray, chosen: IntArray, count: int) -> FloatArray:
    """Return ln P(type | product) of a classifier that has not learned from the product: float32 (products, count)."""
    folds = _fold(chosen)
    log_probs = np.empty((len(chosen), count), np.float32)
    for fold in range(_FOLDS):
        learned = (folds != fold) & (chosen >= 0)
        log_probs[folds == fold] = _predict(_fit(features[learned], chosen[learned], count), features[folds == fold])
    found: FloatArray = np.log((1 - _MISTAKEN) * np.exp(log_probs) + _MISTAKEN / max(count, 1))
    return found


def _name_groups(
    candidates: list[list[Candidate]], lexicon: TypeLexicon, features: FloatArray, vectors: FloatArray,
    categories: Categories,
) -> None:  # fmt: skip
    """Name the products without a name, group by group, by the nearest category of a taxonomy.

    Where the classifier takes a group for a type that the category is near, it keeps to the classifier. A category that
    a group shares a word with beside its head is near for this word: "socket driver" is no board with a "Socket T".
    Changes `candidates`.
    """
    unnamed = np.array([place for place, row in enumerate(candidates) if not row], np.int64)
    if not len(unnamed):
        return
    names, _, chosen = _offer(candidates, lexicon)
    probabilities = np.exp(_answer(features, chosen, len(names))[unnamed]) if names else np.zeros((len(unnamed), 1))
    mean = vectors.mean(0)
    for group in _group(features[unnamed]):
        members = unnamed[group].tolist()
        name = _name_group(vectors[members], categories, mean)
        best = int(probabilities[group].mean(0).argmax())
        if name is None:
            continue
        if names and probabilities[group, best].mean() >= _AGREED:
            near = np.argsort(-categories.vectors @ vectors[chosen == best].mean(0))[:_NEAREST].tolist()
            if name in {categories.names[place] for place in near}:
                continue
        titles = [[word for phrase in lexicon.phrases[place] for word in phrase.words] for place in members]
        sharing = sum(any(w.startswith(beside) for beside in name.split()[:-1] for w in words) for words in titles)
        if sharing < len(members) / 2:
            for place in members:
                candidates[place] = [Candidate(name, 0.0)]


def _drop_rare(
    chosen: IntArray, offers: Sequence[Mapping[int, float]], log_probs: FloatArray, names: Sequence[str],
    lexicon: TypeLexicon,
) -> IntArray:  # fmt: skip
    """Choose again where a type kept fewer than `LEAST_PRODUCTS` products: a "USB stick" is no `stick` of its own.

    Changes the columns of these types in `log_probs`.
    """
    counts = np.bincount(chosen, minlength=log_probs.shape[1])
    rare = [
        place for place, name in enumerate(names) if counts[place] < LEAST_PRODUCTS and not lexicon.is_in_sources(name)
    ]
    if len(rare) == log_probs.shape[1]:
        return chosen
    log_probs[:, rare] = -np.inf
    found = chosen.copy()
    for place in np.flatnonzero(np.isin(chosen, rare)).tolist():
        kept = {kind: penalty for kind, penalty in offers[place].items() if kind not in rare}
        found[place] = _choose(kept, log_probs[place])
    return found


def _fold(chosen: IntArray) -> IntArray:
    """Deal the products of each type to the folds in turn, so that a rare type is in all of them: int64 (products,)."""
    order = np.random.default_rng(0).permutation(len(chosen))
    folds = np.empty(len(chosen), np.int64)
    folds[order[np.argsort(chosen[order], kind="stable")]] = np.arange(len(chosen)) % _FOLDS
    return folds


def _merge(
    labels: Labels, log_probs: FloatArray, vectors: FloatArray, acronyms: Mapping[str, str] = MappingProxyType({})
) -> Labels:
    """Merge types that are one thing under two names: toner, toner cartridge; motherboard, desktop board.

    Their names share a word, and the classifier cannot tell them apart, or their mean titles are all but the same. The
    rarer type becomes a synonym of the commoner one. A name that ends in another one ("laser printer") is narrower,
    and is merged only where it means the same to the classifier. log_probs: float32 (products, types). vectors: float32
    (products, width), of the titles. acronyms: acronym -> the words that it stands for; the two are one type.
    """
    count = len(labels.names)
    products = np.bincount(labels.types, minlength=count)
    members = sparse.csr_matrix(
        (np.ones(len(labels.types), np.float32), (labels.types, np.arange(len(labels.types)))),
        (count, len(labels.types)),
    )
    likeness = (members @ np.exp(log_probs)) / np.maximum(products, 1)[:, None]  # mean P(column | products of the row)
    means = unit(members @ (vectors - vectors.mean(0)))
    cosines = means @ means.T
    target = np.arange(count)
    for place in np.argsort(products, kind="stable").tolist():
        name = labels.names[place]
        written_out = {acronyms.get(name), *(short for short, words in acronyms.items() if words == name)}
        equal = np.flatnonzero(cosines[place] >= _EQUAL)
        rivals = np.argsort(-likeness[place], kind="stable")[:_RIVALS].tolist()
        rivals += [at for at in range(count) if labels.names[at] in written_out]
        rivals += equal[np.argsort(-cosines[place, equal], kind="stable")].tolist()
        for other in (rival for rival in rivals if products[rival] > products[place]):
            kinship = _compare_names(name, labels.names[other])
            confused = likeness[place, other] >= (_SAME if kinship is _Kinship.NARROWER else _ALIKE)
            confused &= kinship is not _Kinship.SIBLING or cosines[place, other] >= _RELATED
            same = kinship is _Kinship.VARIANT and cosines[place, other] >= _EQUAL
            if (kinship is not _Kinship.NONE and (confused or same)) or labels.names[other] in written_out:
                target[place] = other
                break
    while not np.array_equal(target, target[target]):
        target = target[target]
    kept = np.flatnonzero((target == np.arange(count)) & (products > 0))
    places = np.full(count, -1)
    places[kept] = np.arange(len(kept))
    merged = {labels.names[at]: int(places[target[at]]) for at in range(count) if target[at] != at}
    return replace(
        labels,
        names=[labels.names[at] for at in kept.tolist()],
        types=places[target[labels.types]],
        synonyms={name: place for name, place in merged.items() if place >= 0},
    )


class _Kinship(Enum):
    """What one name is to another. SIBLING: both have a word of their own beside a common one."""

    NONE = auto()
    NARROWER = auto()
    VARIANT = auto()
    SIBLING = auto()


def _compare_names(name: str, other: str) -> _Kinship:
    """Say what a name is to another.

    "laser printer" is narrower than `printer`. "toner" is a variant of `toner cartridge`, and "motherboard" of `desktop
    board`. "vga cable" and `monitor cable` are siblings.
    """
    words, others = set(name.split()), set(other.split())
    last, other_last = name.split()[-1], other.split()[-1]
    if name.endswith(f" {other}"):
        return _Kinship.NARROWER
    if other.endswith(f" {name}"):
        return _Kinship.NONE  # what has the broader name has it because its title says no more
    if last != other_last and (
        words < others or others < words or last.endswith(other_last) or other_last.endswith(last)
    ):
        return _Kinship.VARIANT
    return _Kinship.SIBLING if words & others else _Kinship.NONE


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
    name = categories.names[int(plain.argmax())]
    sure = bool(name) and plain.max() >= _NEAR and centred.max() >= _CENTRED
    return name if sure and name == categories.names[int(centred.argmax())] else None


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


def _features(
    mined: MinedCatalogue, lexicon: TypeLexicon, names: Sequence[Set[str]], texts: sparse.csr_matrix, embed: Embed
) -> FloatArray:
    """Return what is left of each product without its names: float32 (products, any).

    The vector of the title, and the product's words and filled fields in `_RANK` dimensions.
    """
    vectors = embed([lexicon.mask_title(place, found) for place, found in enumerate(names)])
    fields = sorted({name for product in mined.products for name in product.fields})
    at = {name: column for column, name in enumerate(fields)}
    rows = [sorted(at[name] for name in product.fields) for product in mined.products]
    filled = sparse.csr_matrix(
        (np.ones(sum(map(len, rows)), np.float32), np.concatenate([np.array(r, np.int32) for r in rows]),
         np.concatenate(([0], np.cumsum([len(r) for r in rows])))), shape=(len(rows), len(fields)),
    )  # fmt: skip
    values = _mask_values(mined.own, mined, names)
    words = sparse.hstack([values, _TEXTS * texts, filled], format="csr").astype(np.float32)
    held = np.asarray((words > 0).sum(0)).ravel()
    words = words[:, held >= LEAST_PRODUCTS]
    words = words @ sparse.diags(np.sqrt(np.log(len(rows) / held[held >= LEAST_PRODUCTS]) + 1e-3).astype(np.float32))
    length = np.sqrt(np.asarray(words.multiply(words).sum(1))).ravel()
    words = sparse.diags((1 / np.maximum(length, 1e-6)).astype(np.float32)) @ words
    found: FloatArray = np.hstack([vectors, 1.5 * _reduce(words, min(_RANK, *words.shape))]).astype(np.float32)
    return found


def _mask_values(values: sparse.csr_matrix, mined: MinedCatalogue, names: Sequence[Set[str]]) -> sparse.csr_matrix:
    """Leave out each value that shares a word with a name of its product. values: float (products, columns)."""
    words = [frozenset(value.split()) for value in sorted(mined.columns, key=mined.columns.__getitem__)]
    kept = values.copy()
    for place, row in enumerate(names):
        own = {word for name in row for word in name.split()}
        span = slice(kept.indptr[place], kept.indptr[place + 1])
        kept.data[span] *= [own.isdisjoint(words[column]) for column in kept.indices[span].tolist()]
    kept.eliminate_zeros()
    return kept


def _reduce(words: sparse.csr_matrix, rank: int) -> FloatArray:
    """Return the rows in `rank` dimensions that keep most of their inner products: float32 (rows, rank).

    A randomised range finder with one power iteration (arXiv 0909.4061, algorithm 4.4) projects the columns. An exact
    decomposition takes minutes here.
    """
    drawn = np.random.default_rng(0).standard_normal((words.shape[1], rank)).astype(np.float32)
    basis, _ = np.linalg.qr(words.T @ (words @ drawn))  # (columns, rank)
    reduced: FloatArray = words @ basis
    return reduced


def _fit(features: FloatArray, types: IntArray, count: int) -> nn.Linear:
    """Fit a softmax regression. The same data gives the same model.

    The decay of the weights is strong, so that its probabilities can be believed: at 1e-3 and a rate of 0.1 it said .94
    on average and was right in .76 of all cases.
    """
    torch.manual_seed(0)
    model = nn.Linear(features.shape[1], count)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    optimizer = torch.optim.AdamW(model.parameters(), lr=_RATE, weight_decay=1.0)
    x, y = torch.from_numpy(features), torch.from_numpy(types)
    epochs = max(_EPOCHS, -(-_LEAST_STEPS // -(-len(x) // _BATCH)))
    for epoch in range(epochs):
        for group in optimizer.param_groups:
            group["lr"] = _RATE * (1 - epoch / epochs)
        for rows in torch.split(torch.randperm(len(x)), _BATCH):
            loss: Tensor = functional.cross_entropy(8 * model(x[rows]), y[rows])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
    return model


@torch.inference_mode()
def _predict(model: nn.Linear, features: FloatArray) -> FloatArray:
    found: FloatArray = functional.log_softmax(8 * model(torch.from_numpy(features)), -1).numpy()
    return found
