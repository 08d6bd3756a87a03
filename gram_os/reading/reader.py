"""A text's typed attributes and its codes, out of one reading of its words, its fields and the model's probabilities.

A product's own field of a type settles that type: nothing else of the product has it then. Knows what a bundle knows
about words. Runs no model and knows no cluster.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

from gram_os.arrays import FloatArray
from gram_os.catalogue import Product
from gram_os.reading.brands import Brands
from gram_os.reading.combine import SLOTS, combine
from gram_os.reading.names import KnownNames, is_generic
from gram_os.reading.placed_values import PlacedValue, is_measure, is_standard, place_values, unit_of
from gram_os.reading.product_type import LEAST, TypeReading, settle_type
from gram_os.text.attribute import AttributeType, Side, TypedValue
from gram_os.text.dictionary import AttributeDictionary, Vocabulary
from gram_os.text.heads import Phrase, split_phrases
from gram_os.text.markup import strip_markup
from gram_os.text.normalise import Normaliser
from gram_os.text.own_values import MAX_TEXT, field_texts, field_values, long_texts, mend_words
from gram_os.text.product_types import TypeVocabulary

_T = AttributeType
#: Types that say too little, or too much at once, to be shown as an attribute.
UNTYPED: Final = frozenset({_T.OTHER, _T.TECHNICAL_SPECIFICATION, _T.MODIFIER, _T.MARKETING_TERM})
#: Types of which a title states one value, so that a field of the product leaves no room for another.
SETTLED: Final = frozenset({_T.BRAND, _T.COLOUR, _T.PRODUCT_TYPE})
#: The order of attributes.
_ORDER: Final = (_T.PRODUCT_TYPE, *SLOTS, _T.SCENARIO, _T.APPLICABLE_TIME)
_PATH: Final = ">"  # between the elements of a category's path
_BEGINNING: Final = 80  # characters of a description that name the product, if any do


@dataclass(frozen=True, slots=True)
class Probabilities:
    """What the model says about a text.

    own: P of each value that the text states, None for a value that the model cannot write. generated: P of each single
    value that the model adds. log_probs: float32 (types,) over the vocabulary's types, natural logarithms.
    """

    own: Mapping[str, float | None]
    generated: Mapping[str, float] = field(default_factory=dict)
    log_probs: FloatArray | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text says: typed attributes, best first within a type, and at most ten codes made of them."""

    attributes: tuple[TypedValue, ...] = ()
    codes: tuple[tuple[TypedValue, ...], ...] = ()


@dataclass(frozen=True)
class TextReader:
    """Reads texts with what one bundle knows.

    words: the catalogue's, which mend a query. types: the vocabulary of product types; without one the dictionary says
    which values are product types. fields: attribute fields of the catalogue with the types of their values. texts: its
    fields of descriptions. thresholds: P from which a generated value of a type counts as true of a product; a type
    that is not in it takes no generated values.
    """

    normaliser: Normaliser
    dictionary: AttributeDictionary
    words: Vocabulary
    types: TypeVocabulary | None = None
    fields: Mapping[str, AttributeType] = field(default_factory=dict)
    texts: Sequence[str] = ()
    thresholds: Mapping[AttributeType, float] = field(default_factory=dict)

    def read_product(self, product: Product, said: Probabilities) -> Reading:
        """Read a product: its title, its attribute fields, and of its descriptions what names its type."""
        title = strip_markup(product.title)[:MAX_TEXT]
        stated = field_values(product, self.fields, self.normaliser)
        placed = place_values(title, self.normaliser, self.dictionary)
        types = self._read_types(product, title, stated, placed, said)
        settled = {kind for _, kind in stated if kind not in _OPEN}
        own = [
            one for one in self._type_values(placed, stated, types) if not (one.linked or (one.other and _is_name(one)))
        ]
        found = [*types, *_state(stated, {one.value for one in placed}, said)]
        for kind in [kind for kind in AttributeType if kind not in settled]:
            values = [one.value for one in own if one.type is kind]
            found += [_own(value, kind, said) for value in (values[:1] if kind is _T.BRAND else values)]
        found += self._admit(found, settled, said)
        in_title = {one.value for one in placed}
        return _arrange(found, types[:2], in_title)

    def read_query(self, text: str, said: Probabilities) -> Reading:
        """Read a query: the types that it may ask for, and the values that it states, misspelt ones mended."""
        mended = mend_words(text, self.normaliser, self.words, self.type_words)
        placed = place_values(mended, self.normaliser, self.dictionary)
        types, heads = self._ask_types(mended, placed, said)
        own = [_own(one.value, one.type, said) for one in self._type_values(placed, (), heads) if one.type]
        return _arrange([*types, *own], heads)

    @cached_property
    def _brands(self) -> Brands:
        return Brands.of(self.dictionary)

    @cached_property
    def _names(self) -> KnownNames:
        return KnownNames(self.types or TypeVocabulary(()), self.dictionary)

    @cached_property
    def type_words(self) -> frozenset[str]:
        """The words of the types' names and synonyms. They are known words, even where no title holds them."""
        kinds = () if self.types is None else self.types.types
        return frozenset(word for kind in kinds for name in (kind.name, *kind.synonyms) for word in name.split())

    def _read_types(
        self,
        product: Product,
        title: str,
        stated: Sequence[tuple[str, AttributeType]],
        placed: Sequence[PlacedValue],
        said: Probabilities,
    ) -> list[TypedValue]:
        """Return what a product is, the title's own name of it, and what is broader; the most specific first."""
        if self.types is None:
            return self._known_types([v for v, kind in stated if kind is _T.PRODUCT_TYPE], placed, said)
        phrases = _drop_brand(split_phrases(title, self.normaliser), [v for v, kind in stated if kind is _T.BRAND])
        fields = list(self._category_names(product))
        reading = settle_type(phrases, self.types, said.log_probs, fields, names=self._names)
        if not reading.name and not any(share.named for share in reading.types):
            beginnings = [text[:_BEGINNING] for text in long_texts(product, self.texts)]
            more = [phrase for text in beginnings for phrase in split_phrases(text, self.normaliser)]
            reading = settle_type(more, self.types, said.log_probs, names=self._names)
        return list(self._name_type(reading)) if reading.types else []

    def _name_type(self, reading: TypeReading) -> Iterator[TypedValue]:
        """Yield the names of what a product is: the type's, the text's own name of it, and the broader ones.

        "Case" is broader than "notebook case", also where no type is called so.
        """
        types, share = self._names.vocabulary, reading.types[0]
        first, *broader = (types.types[place].name for place in types.with_broader(share.place))
        end = first.split()[-1]
        names = [first, *([reading.name] if reading.name else []), *broader]
        names += [end] if len(self._names.find(end)) > 1 and end not in types.places else []
        for name in dict.fromkeys(names):
            yield TypedValue(name, _T.PRODUCT_TYPE, share.probability, own=share.named)

    def _category_names(self, product: Product) -> Iterator[str]:
        """Yield the values of a product's category fields, the elements of a path one by one, broadest first."""
        categories = {name: kind for name, kind in self.fields.items() if kind is _T.PRODUCT_TYPE}
        for text, _ in field_texts(product, categories):
            yield from filter(None, map(self.normaliser.value, text.split(_PATH)))

    def _known_types(
        self, field_types: Sequence[str], placed: Sequence[PlacedValue], said: Probabilities
    ) -> list[TypedValue]:
        """Return the product types that fields state and that the dictionary knows in a text.

        The longest names come first, each followed by those of its words that are product types too.
        """
        known = [one.value for one in placed if one.type is _T.PRODUCT_TYPE and not one.linked]
        names = [
            name
            for value in sorted(known, key=lambda value: -value.count(" "))
            for name in (value, *value.split())
            if self.dictionary.type_of(name) is _T.PRODUCT_TYPE
        ]
        found = dict.fromkeys([*field_types, *names])
        return [_own(value, _T.PRODUCT_TYPE, said) for value in found]

    def _ask_types(
        self, text: str, placed: Sequence[PlacedValue], said: Probabilities
    ) -> tuple[list[TypedValue], list[TypedValue]]:
        """Return the types that a query may ask for, and the names that its codes are made of."""
        if self.types is None:
            known = self._known_types((), placed, said)
            return known, known[:2]
        phrases = split_phrases(text, self.normaliser)
        reading = settle_type(phrases, self.types, said.log_probs, side=Side.QUERY, names=self._names)
        asked = [
            TypedValue(self.types.types[share.place].name, _T.PRODUCT_TYPE, share.probability, own=share.named)
            for share in reading.types
        ]
        heads = [kind for kind in asked[:1] if (kind.probability or 0.0) >= LEAST]
        likely = sum(share.probability for share in reading.types if share.named)
        if likely >= LEAST and all(word in self.words.counts for word in reading.name.split()):
            own = TypedValue(reading.name, _T.PRODUCT_TYPE, likely, own=True)
            already = {kind.value for kind in asked}
            heads += [own] if own.value not in {kind.value for kind in heads} else []
            asked += [own] if own.value not in already else []
        return asked, heads

    def _type_values(
        self,
        placed: Sequence[PlacedValue],
        stated: Sequence[tuple[str, AttributeType]],
        product_types: Sequence[TypedValue],
    ) -> Iterator[PlacedValue]:
        """Yield the values of a text that are attributes, each with the type that it has there.

        stated: the values of a product's fields. product_types: what the text is about; their words are no other
        attribute.
        """
        names = {word for kind in product_types for word in kind.value.split()}
        brands = {value for value, kind in stated if kind is _T.BRAND}
        types = dict(stated)
        before: AttributeType | None = None
        for one in placed:
            kind = types.get(one.value, one.type)
            if kind is _T.BRAND or (before is _T.BRAND and self._brands.is_series(one.value)):
                for value, kind in self._read_name(one.value, brands):
                    if not set(value.split()) <= names:
                        yield replace(one, value=value, type=kind)
            elif _is_attribute(one.value, kind, before) and not set(one.value.split()) <= names:
                yield replace(one, type=kind)
            before = kind

    def _read_name(self, name: str, brands: Set[str]) -> Iterator[tuple[str, AttributeType]]:
        """Yield the brand and the series of a name. brands: a product's own; a series must be one of theirs."""
        brand, series = self._brands.split(name)
        if not series and self._brands.is_series(name) and name not in self._brands.series:
            brand, series = "", name
        if brand:
            yield brand, _T.BRAND
        known = not brands or any(series in self._brands.series.get(own, ()) for own in brands)
        names_thing = is_generic(series) or (self.types is not None and bool(self.types.find(series)))
        if series and known and not names_thing:  # "Kingston System Specific Memory" has no series "system"
            yield series, _T.SERIES

    def _admit(
        self, found: Sequence[TypedValue], settled: set[AttributeType], said: Probabilities
    ) -> Iterator[TypedValue]:
        """Yield the generated values that pass the relevance filter and contradict nothing."""
        if not self.thresholds:
            return
        held = {value.type for value in found}
        units = {unit_of(value.value) for value in found if is_measure(value.value)}
        known = {value.value for value in found}
        for value, probability in said.generated.items():
            kind = self.dictionary.type_of(value)
            least = None if kind is None else self.thresholds.get(kind)
            if kind is None or least is None or probability < least or value in known or kind in settled:
                continue
            if (kind in SETTLED and kind in held) or (is_measure(value) and unit_of(value) in units):
                continue
            if not _is_attribute(value, kind, None):
                continue
            held.add(kind)
            yield TypedValue(value, kind, probability, own=False)


#: Types that a title may add to, whatever the product's fields state.
_OPEN: Final = frozenset({_T.TECHNICAL_SPECIFICATION, _T.SALES_SPECIFICATION, _T.SERIES, _T.MODEL})


def _state(
    stated: Iterable[tuple[str, AttributeType]], in_title: Container[str], said: Probabilities
) -> Iterator[TypedValue]:
    """Yield what a product's fields state, without product types; first what the title says too."""
    usable = [(v, k) for v, k in stated if k not in UNTYPED and k is not _T.PRODUCT_TYPE and any(map(str.isalpha, v))]
    for value, kind in sorted(usable, key=lambda pair: pair[0] not in in_title):
        yield _own(value, kind, said)


def _own(value: str, kind: AttributeType, said: Probabilities) -> TypedValue:
    return TypedValue(value, kind, said.own.get(value), own=True)


def _is_attribute(value: str, kind: AttributeType | None, before: AttributeType | None) -> bool:
    """Say whether a value of a text is an attribute. before: the type of the value before it.

    A series without digits is one behind a brand only: the dictionary's types of single words are often wrong.
    """
    if kind is _T.TECHNICAL_SPECIFICATION or kind is _T.SALES_SPECIFICATION:
        return is_measure(value) or is_standard(value, kind)
    if kind is _T.SERIES or kind is _T.MODEL:
        return before is _T.BRAND or any(map(str.isdigit, value))
    return kind is not None and kind not in UNTYPED and kind is not _T.PRODUCT_TYPE


def _is_name(one: PlacedValue) -> bool:
    """Say whether a value names a brand, a series or a model: behind "for" it is always another product's."""
    return one.type in (_T.BRAND, _T.SERIES, _T.MODEL)


def _arrange(found: Iterable[TypedValue], types: Sequence[TypedValue], in_title: Container[str] = ()) -> Reading:
    """Order attributes by type, each value once, and combine them into codes.

    in_title: values that a product's title states. Where it states colours, codes have no other colour.
    """
    once: dict[str, TypedValue] = {}
    for value in found:
        once.setdefault(value.value, value)
    attributes = sorted(once.values(), key=lambda value: _ORDER.index(value.type))
    titled = any(value.type is _T.COLOUR and value.value in in_title for value in attributes)
    others = [v for v in attributes if v.type is not _T.COLOUR or not titled or v.value in in_title]
    return Reading(tuple(attributes), combine(types, others))


def _drop_brand(phrases: Sequence[Phrase], brands: Iterable[str]) -> list[Phrase]:
    """Return a title's phrases without the product's brand at its beginning: "Case Logic" is no case."""
    for brand in brands:
        words = tuple(brand.split())
        if phrases and phrases[0].words[: len(words)] == words:
            first = Phrase(phrases[0].words[len(words) :], phrases[0].role, phrases[0].counted)
            return [*([first] if first.words else []), *phrases[1:]]
    return list(phrases)
