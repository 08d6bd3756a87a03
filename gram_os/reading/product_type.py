"""What a product is, and what a query asks for: one distribution over product types, out of names and a model.

Knows names in texts, and the model's log-probabilities over the types of a vocabulary. Runs no model.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, inf, log
from typing import Final

import numpy as np

from gram_os.arrays import FloatArray
from gram_os.reading.names import LINKED, SYNONYM, KnownNames, NameInText, find_names, list_names
from gram_os.text.attribute import Side
from gram_os.text.heads import Phrase, Role
from gram_os.text.product_types import TypeVocabulary

#: The model replaces the title's best name when P of its own choice is above the first number and P of the name, its
#: place included, below the second.
SURE: Final = 0.8
UNLIKELY: Final = 0.01
#: A synonym in a title is believed from this probability of the model on: "light" is a studio, "light cyan" is none.
LEAST_OF_SYNONYM: Final = 0.05
#: Below this probability the model's best type of a product gives way to a broader one that reaches it.
LEAST: Final = 0.5
#: The share of a query's distribution that the types of its head get.
HEAD_SHARE: Final = 0.7
#: The same for a name that may be no head: a generic word stands behind it ("battery kit"), or "for" before it. And for
#: a name that is only the end of a longer phrase: a "pen drive" is some drive, the model says which.
DOUBTFUL_SHARE: Final = 0.3
QUERY_TYPES: Final = 10  # types that a query may have
_OWN: Final = 2.0  # how much more a type's own name means it than the types that have it for a synonym
_LIKELY = 50  # types that are looked at when a broader one is wanted; the others hold no mass


@dataclass(frozen=True, slots=True)
class TypeShare:
    """A type with its probability. place: in the vocabulary. named: whether the text or a field names it."""

    place: int
    probability: float
    named: bool


@dataclass(frozen=True, slots=True)
class TypeReading:
    """What a product is (one type), or what a query may ask for (up to ten), likeliest first.

    name: the words of the text that name the first type, "" where none do.
    """

    types: tuple[TypeShare, ...] = ()
    name: str = ""


def settle_type(
    phrases: Sequence[Phrase],
    vocabulary: TypeVocabulary,
    log_probs: FloatArray | None = None,
    field_types: Sequence[str] = (),
    side: Side = Side.TITLE,
    names: KnownNames | None = None,
) -> TypeReading:
    """Say what a product is (`Side.TITLE`) or what a query asks for (`Side.QUERY`).

    log_probs: float32 (types,), natural logarithms, of the model; None where no model says anything. field_types: the
    normalised values of a product's category fields; of a path its elements, broadest first. names: the vocabulary's
    names as texts use them, by default all of them.

    A product: the last field value that names a type wins. A narrower type that the title names refines it. Without
    such a value the best name of the title wins, by the model's probability and the name's place. Both give way where
    the model is sure of another type (`SURE`, `UNLIKELY`). A synonym gives way as soon as the model doubts it
    (`LEAST_OF_SYNONYM`). Without a name the model's best type is taken, or a broader one.

    A query: the types of its head get `HEAD_SHARE`, in proportion to the root of their numbers of products. The head is
    the last name of the first phrase that has one. A name that may be no head, or that leaves words of its phrase
    unread, gets `DOUBTFUL_SHARE`. In the second case narrower types share it, by the model's probabilities. The model's
    distribution gets the rest.

    >>> from gram_os.text.normalise import Normaliser
    >>> from gram_os.text.heads import split_phrases
    >>> from gram_os.text.product_types import ProductType
    >>> vocabulary = TypeVocabulary((ProductType("battery", 9), ProductType("notebook", 25, (), ("laptop",))))
    >>> phrases = split_phrases("Battery for select laptops", Normaliser({"batteri": "battery"}))
    >>> reading = settle_type(phrases, vocabulary)
    >>> [vocabulary.types[share.place].name for share in reading.types], reading.name
    (['battery'], 'battery')
    """
    if not len(vocabulary):
        return TypeReading()
    names = names or KnownNames(vocabulary)
    if side is Side.QUERY:
        return _read_query(phrases, vocabulary, names, log_probs)
    found = find_names(phrases, names)
    field = next((types for value in reversed(field_types) if (types := vocabulary.find(value))), ())
    return _settle_by_field(field, found, vocabulary, log_probs) if field else _settle(found, vocabulary, log_probs)


def _settle_by_field(
    field: Sequence[int], names: Sequence[NameInText], vocabulary: TypeVocabulary, log_probs: FloatArray | None
) -> TypeReading:
    """Take the type of a field's value, or a narrower one that the title names at a head.

    A field that the model is sure to be wrong does not count: a "type" may be the type of something else.
    """
    offers = _offer(names, vocabulary)
    place = field[0] if log_probs is None else max(field, key=lambda at: float(log_probs[at]))
    if log_probs is not None and _is_refuted(place, vocabulary, log_probs):
        return _settle(names, vocabulary, log_probs)
    heads = [at for at, offer in offers.items() if offer.penalty < LINKED]
    narrower = [at for at in heads if at != place and place in vocabulary.with_broader(at)]
    place = min(narrower, key=lambda at: _cost(offers[at], at, log_probs), default=place)
    return TypeReading((TypeShare(place, 1.0, named=True),), offers[place].name if place in offers else "")


def _settle(names: Sequence[NameInText], vocabulary: TypeVocabulary, log_probs: FloatArray | None) -> TypeReading:
    """Choose between the names of a title and the model."""
    offers = _offer(names, vocabulary)
    if log_probs is None:
        place = min(offers, key=lambda at: offers[at].penalty, default=-1)
        return TypeReading((TypeShare(place, 1.0, named=True),), offers[place].name) if offers else TypeReading()
    offers = {
        place: offer for place, offer in sorted(offers.items())
        if _is_end(offer.name, vocabulary.types[place].name) or log_probs[place] >= log(LEAST_OF_SYNONYM)
    }  # fmt: skip
    best = int(log_probs.argmax())
    if not offers:
        return TypeReading((_broaden(best, vocabulary, log_probs),))
    place = min(offers, key=lambda at: _cost(offers[at], at, log_probs))
    sure = log_probs[best] > log(SURE) and -_cost(offers[place], place, log_probs) < log(UNLIKELY)
    chosen = best if sure else place
    share = TypeShare(chosen, _posterior(chosen, offers, log_probs), named=chosen in offers)
    return TypeReading((share,), offers[chosen].name if chosen in offers else "")


def _is_end(name: str, kind: str) -> bool:
    """Say whether a name is a type's own, or the end of it: "case" of `notebook case`."""
    return f" {kind}".endswith(f" {name}")


def _is_refuted(place: int, vocabulary: TypeVocabulary, log_probs: FloatArray) -> bool:
    """Say whether the model is sure of another type, which is neither broader nor narrower."""
    best = int(log_probs.argmax())
    related = best in vocabulary.with_broader(place) or place in vocabulary.with_broader(best)
    return not related and log_probs[best] > log(SURE) and float(log_probs[place]) < log(UNLIKELY)


def _offer(names: Sequence[NameInText], vocabulary: TypeVocabulary) -> dict[int, NameInText]:
    """Return type -> the best name that a text gives it.

    A synonym costs `SYNONYM`. Of several types of one name the rarer ones cost more.
    """
    offers: dict[int, NameInText] = {}
    for named in names:
        most = max(vocabulary.types[place].products for place in named.types)
        for place in named.types:
            rarer = 0.5 * log((1 + most) / (1 + vocabulary.types[place].products))
            synonym = SYNONYM * (vocabulary.types[place].name != named.name)
            offer = NameInText(named.name, named.types, named.penalty + rarer + synonym)
            if place not in offers or offer.penalty < offers[place].penalty:
                offers[place] = offer
    return offers


def _cost(offer: NameInText, place: int, log_probs: FloatArray | None) -> float:
    """Return -ln of the probability of a named type: the model's, and the place of its name."""
    return offer.penalty - (0.0 if log_probs is None else float(log_probs[place]))


def _posterior(place: int, offers: Mapping[int, NameInText], log_probs: FloatArray) -> float:
    """Return P(type) where a named type counts exp(-penalty) and any other `UNLIKELY`."""
    prior = np.full(len(log_probs), log(UNLIKELY))
    for at, offer in offers.items():
        prior[at] = max(-offer.penalty, log(UNLIKELY))
    joint = log_probs + prior
    return float(np.exp(joint[place] - joint.max()) / np.exp(joint - joint.max()).sum())


def _broaden(best: int, vocabulary: TypeVocabulary, log_probs: FloatArray) -> TypeShare:
    """Return the model's best type, or where it is unsure the narrowest broader type that reaches `LEAST`."""
    probability = exp(float(log_probs[best]))
    if probability >= LEAST:
        return TypeShare(best, probability, named=False)
    sums: dict[int, float] = defaultdict(float)
    for place in np.argsort(-log_probs, kind="stable")[:_LIKELY].tolist():
        for broader in vocabulary.with_broader(place):
            sums[broader] += exp(float(log_probs[place]))
    reach = [place for place, total in sums.items() if total >= LEAST]
    if not reach:
        return TypeShare(best, probability, named=False)
    place = min(reach, key=lambda at: (-len(vocabulary.with_broader(at)), -sums[at], at))
    return TypeShare(place, min(sums[place], 1.0), named=False)


def _read_query(
    phrases: Sequence[Phrase], vocabulary: TypeVocabulary, names: KnownNames, log_probs: FloatArray | None
) -> TypeReading:
    """Mix the types of a query's head with the model's distribution."""
    head = _find_head(phrases, names)
    shares: dict[int, float] = defaultdict(float)
    if log_probs is not None:
        left = 1.0 if head is None else 1.0 - head.share
        for place in np.argsort(-log_probs, kind="stable")[:QUERY_TYPES].tolist():
            shares[place] += left * exp(float(log_probs[place]))
    if head is not None:
        for place, share in _share_head(head, vocabulary, log_probs).items():
            shares[place] += head.share * share
    top = sorted(shares, key=lambda place: (-shares[place], place))[:QUERY_TYPES]
    total = sum(shares[place] for place in top) or inf
    named = frozenset(() if head is None else head.types)
    types = tuple(TypeShare(place, shares[place] / total, named=place in named) for place in top)
    return TypeReading(types, "" if head is None else head.name)


@dataclass(frozen=True, slots=True)
class _Head:
    """The head of a query. share: of the distribution. is_end: whether its phrase says more than the name."""

    name: str
    types: tuple[int, ...]
    share: float
    is_end: bool


def _share_head(head: _Head, vocabulary: TypeVocabulary, log_probs: FloatArray | None) -> Mapping[int, float]:
    """Share the mass of a head among its types."""
    roots = {place: max(vocabulary.types[place].products, 1) ** 0.5 for place in head.types}
    if head.name in vocabulary.places:
        roots[vocabulary.places[head.name]] *= _OWN
    if head.is_end and log_probs is not None:
        ends = f" {head.name}"
        narrower = [at for at, kind in enumerate(vocabulary.types) if kind.name.endswith(ends) and at not in roots]
        roots.update({place: max(vocabulary.types[place].products, 1) ** 0.5 for place in narrower})
        roots = {place: root * exp(float(log_probs[place])) for place, root in roots.items()}
    total = sum(roots.values()) or inf
    return {place: root / total for place, root in roots.items()}


def _find_head(phrases: Sequence[Phrase], names: KnownNames) -> _Head | None:
    """Return the last name of the first phrase that has one; of a phrase behind "for" where no other has one."""
    for linked in (False, True):
        for phrase in phrases:
            if (phrase.role is Role.LINKED) is linked:
                here = list(list_names(phrase, names))
                found = next(((name, types) for name, types in here if types), None)
                if found is not None:
                    is_head = not linked and here[0] == found
                    unread = set(phrase.words) - set(found[0].split())
                    is_end = any(names.says_more(word) for word in unread)
                    return _Head(*found, HEAD_SHARE if is_head and not is_end else DOUBTFUL_SHARE, is_end)
    return None
