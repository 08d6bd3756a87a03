"""Which words and phrases of a catalogue name product types.

A word is a head when the tagger, a taxonomy or a thesaurus says that things are called so. A phrase is a name when it
ends in a head and when it is a category of the taxonomy, a noun of the thesaurus, a value of a category field, or a
span that the tagger marks often. Works on titles and tagged spans. Knows no model.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from gram_os.reading.names import is_amount, is_generic, weigh_place
from gram_os.text.attribute import AttributeType
from gram_os.text.heads import Phrase, split_phrases
from gram_os.text.normalise import Normaliser
from gram_os.text.own_values import long_texts
from gram_os.train.mining.catalogue import MinedCatalogue
from gram_os.train.types.category_fields import choose_fields, read_types
from gram_os.train.types.name_fit import LEAST_TITLES, Embed, weigh_names
from gram_os.train.types.names import list_category_names, list_category_words
from gram_os.train.types.taxonomy import Taxonomy
from gram_os.train.types.thesaurus import Thesaurus, is_kind_of
from gram_os.train.types.titles import (
    count_spans,
    count_spellings,
    find_acronyms,
    find_end,
    list_brand_words,
    list_field_words,
    list_title_phrases,
    weigh_heads,
)

log = logging.getLogger(__name__)

LONGEST: Final = 4  # words of a name
_TEXT: Final = 80  # characters of a description that name the product, if any do
_TOLD: Final = 5.0  # what it costs a name that only a description has it, in natural logarithms
_LEAST_KNOWN: Final = (0.6, 0.4)  # of the words of English titles a thesaurus knows .74 or more, a taxonomy .48 or more
_LEAST_HEADS: Final = 0.5  # of titles with a head, below which the tagger does not read their language
_LEAST_PAIRS: Final = 8  # titles in which two words are a phrase, before they are a name without the tagger
_SHORTEST_NOUN: Final = 4  # letters; units are shorter
_FITS, _FITS_WELL = 0.1, 0.16  # cosines of a word and its titles without it (`weigh_names`)
_SURELY, _OFTEN = 0.7, 10  # share of its uses and products, from which the tagger alone makes an agent noun a head
_AGENTS: Final = ("er", "or")  # a "fuser" is what fuses; new words of a trade are in no thesaurus
_SEEN: Final = 3  # titles with a word that is too rare for `weigh_names`; the tagger marks one if it is a thing
_LEAST_LAST: Final = 0.15  # share of its uses that end a phrase, of a word that no category ends in
_LEAST_SPANS: Final = 5  # products in which the tagger marks a phrase before that alone makes it a name
#: Lexicographer files of WordNet whose nouns can be sold: animals, artifacts, food, groups, plants, substances.
THINGS: Final = frozenset({5, 6, 13, 14, 20, 27})
#: Words for what is sold and is no thing. Neither source counts them as goods, and each is the head of its phrase.
_SERVICES: Final = "service svc warranty guarantee license licence subscription"
#: Words about the state of a product. The tagger takes them for things, and WordNet has nouns of the same spelling.
_CONDITIONS: Final = (
    "original genuine compatible new used refurbished remanufactured renewed standard basic premium professional "
    "generic supported replacement other misc miscellaneous none various"
)


@dataclass(frozen=True)
class TypeSources:
    """What people know of product types beside the catalogue. Each may be missing."""

    taxonomy: Taxonomy | None = None
    thesaurus: Thesaurus | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A name in a title. penalty: how unlikely its place makes it, in natural logarithms, 0 or above."""

    name: str
    penalty: float


def _join_names(names: Iterable[str], normaliser: Normaliser) -> dict[str, str]:
    """Return names of two words written as one, normalised -> the names: "mousepad" -> "mouse pad".

    A word that normalising cuts down to the first of the two is no such word: "vacuumsealer" has the stem of "vacuum".
    """
    pairs = [(name, *name.split()) for name in names if name.count(" ") == 1]
    joined = ((normaliser.value(first + second), first + second[:3], name) for name, first, second in pairs)
    return {word: name for word, beginning, name in joined if word.startswith(beginning)}


class TypeLexicon:
    """The heads and names of one catalogue.

    taxonomy_names: names of the taxonomy's categories, normalised. acronyms: acronym -> its words. is_foreign:
    whether the titles are in another language than the sources.

    embed: what says how well a word names its products; without it the words alone decide.
    """

    def __init__(self, mined: MinedCatalogue, sources: TypeSources, embed: Embed | None = None):
        normaliser = mined.normaliser
        self._normaliser = normaliser
        self._thesaurus = sources.thesaurus
        self.taxonomy_names = frozenset(list_category_names(sources.taxonomy, normaliser))
        self._category_words = list_category_words(sources.taxonomy)
        self._heads_of_names = Counter(name.split()[-1] for name in self.taxonomy_names)
        self._written = count_spellings(mined.products, normaliser)
        self._joined = _join_names(self.taxonomy_names, normaliser)
        self._written_apart = {self._joined[word] for word in self._written.keys() & self._joined.keys()}
        self._name_words = {word for name in self.taxonomy_names for word in name.split()}
        self.phrases = list_title_phrases(mined)
        self._mined = mined
        self._spans, self._ends = count_spans(mined.spans, normaliser)
        self._uses = Counter(word for row in self.phrases for word in {w for phrase in row for w in phrase.words})
        self._last = Counter(word for row in self.phrases for word in {find_end(phrase.words) for phrase in row})
        self._doubts = weigh_heads(mined, self.phrases, self._ends)
        self._series = list_brand_words(mined, self.phrases)
        self._pairs = Counter(
            pair for row in self.phrases for pair in {" ".join(p.words) for p in row if len(p.words) == 2}
        )
        self._brands = list_field_words(mined, AttributeType.BRAND)
        self._colours = list_field_words(mined, AttributeType.COLOUR)
        self._conditions = {normaliser.value(word) for word in _CONDITIONS.split()}
        self._services = {normaliser.value(word) for word in _SERVICES.split()}
        explained = find_acronyms(mined.products, normaliser)
        self.acronyms = {short: words for short, words in explained.items() if self._brands.isdisjoint(words.split())}
        self._written_out = frozenset(self.acronyms.values())
        self._things: dict[str, bool] = {}
        self._kinds: dict[tuple[str, str], bool] = {}
        self._field_counts: Counter[str] = Counter()
        self._fit = {} if embed is None else weigh_names(self._list_ends(), normaliser, embed)
        self._heads = {word for word in self._uses if self._is_head(word)}
        self.is_foreign = self._is_foreign(sources)
        self.category_fields = choose_fields(mined, self._names_thing)
        self.fields = [read_types(product, self.category_fields, normaliser) for product in mined.products]
        self._field_counts.update(name for names in self.fields for name in names)

    def _is_foreign(self, sources: TypeSources) -> bool:
        if sources.taxonomy is None and sources.thesaurus is None:
            titled = sum(any(word in self._heads for phrase in row for word in phrase.words) for row in self.phrases)
            return titled < _LEAST_HEADS * len(self.phrases)
        known = sum(n for word, n in self._uses.items() if self._is_known(word)) / max(self._uses.total(), 1)
        if foreign := known < _LEAST_KNOWN[sources.thesaurus is None]:
            log.warning(
                "the taxonomy and the thesaurus know %d %% of the words in titles, of English ones about 80 %%; so "
                "product types come from category fields and from what the encoder understands; a taxonomy file of "
                "the catalogue's language names more of them",
                round(100 * known),
            )
        return foreign

    def _names_thing(self, value: str) -> bool:
        """Say whether a value of a field may name things. In another language, what is no condition may."""
        if self.is_foreign:
            return not all(word in self._conditions for word in value.split())
        return self.is_name(value) or self.is_name(value.split()[-1])

    def is_name(self, name: str) -> bool:
        """Say whether a normalised phrase names a product type."""
        words = name.split()
        if (self._field_counts[name] > 1 and words[-1] not in self._colours) or name in self.acronyms:
            return True
        if len(words[-1]) < 2:
            return self._is_hyphenated(words)
        if words[-1] not in self._heads or len(set(words)) < len(words) or not self._colours.isdisjoint(words[:-1]):
            return False
        if len(words) == 1 or name in self.taxonomy_names or name in self._written_out or self._is_thing(name):
            return True
        if min(map(len, words)) < 2:  # the B of "A/B cable"
            return False
        heads = sum(word in self._heads for word in words)
        if len(words) == 2 and self._pairs[name] >= _LEAST_PAIRS and self._is_noun_beside(words[0]):
            return True
        if len(words) == 2 and self._pairs[name] >= _LEAST_SPANS and is_generic(words[1]) and words[0] in self._heads:
            return True
        return self._spans[name] >= _LEAST_SPANS and heads <= 2 and all(map(self._is_known, words[:-1]))

    def _is_noun_beside(self, word: str) -> bool:
        """Say whether a word may tell kinds of a thing apart: a noun that is no unit, brand or head."""
        if self._thesaurus is None or len(word) < _SHORTEST_NOUN or word in self._brands or word in self._heads:
            return False
        return bool(self._thesaurus.synonyms(word))

    def find_candidates(self, place: int) -> list[Candidate]:
        """Return the names in the title of the product at a place, each once, likeliest places first.

        A name's place costs what it costs in serving (`weigh_place`). Where a title has no name, the beginnings of
        the product's other texts are read.
        """
        found = self._read_phrases(self.phrases[place])
        if not found:
            texts = long_texts(self._mined.products[place], self._mined.texts)
            told = self._read_phrases([p for text in texts for p in split_phrases(text[:_TEXT], self._normaliser)])
            found = {name: penalty + _TOLD for name, penalty in told.items()}
        return sorted((Candidate(*item) for item in found.items()), key=lambda candidate: candidate.penalty)

    def _read_phrases(self, phrases: Sequence[Phrase]) -> dict[str, float]:
        found: dict[str, float] = {}
        before = 0
        for phrase in phrases:
            names = [name for name in self._names_of(phrase) if not is_amount(phrase, name)]
            if not self._brands.isdisjoint(phrase.words):  # a phone has "Huawei Mobile Services"
                names = [name for name in names if name not in self._services]
            for rank, name in enumerate(self._without_kinds(names)):
                penalty = weigh_place(phrase, name, rank=rank, before=before) + self._doubt(name)
                found[name] = min(penalty, found.get(name, penalty))
            before += bool(names)
        return found

    def _doubt(self, name: str) -> float:
        """Return what it costs a single word that it is rarely a product type, in natural logarithms."""
        return 0.0 if " " in name or name in self._services else self._doubts.get(name, 0.0)

    def _without_kinds(self, names: Sequence[str]) -> Sequence[str]:
        """Leave out a last name that says what kind of thing the one before it is: the PC of "notebook PC"."""
        return names[1:] if len(names) > 1 and self._is_kind(names[1], names[0]) else names

    def _is_kind(self, narrow: str, broad: str) -> bool:
        if self._thesaurus is None:
            return False
        if (narrow, broad) not in self._kinds:
            words = narrow.split()
            ends = (" ".join(words[start:]) for start in range(len(words)))
            self._kinds[narrow, broad] = any(is_kind_of(self._thesaurus, end, broad) for end in ends)
        return self._kinds[narrow, broad]

    def _names_of(self, phrase: Phrase) -> Iterator[str]:
        """Yield the names of a phrase from its end to its beginning, without overlaps, the longest at each place."""
        words, stop = phrase.words, len(phrase.words)
        while stop > 0:
            starts = range(max(0, stop - LONGEST), stop)
            start = next((at for at in starts if self.is_name(" ".join(words[at:stop]))), None)
            if start is None:
                stop -= 1
                continue
            name = " ".join(words[start:stop])
            yield self._joined.get(name, name)
            stop = start

    def _list_ends(self) -> dict[str, list[str]]:
        """Return word -> the titles in which it ends a phrase, of the words that may be heads."""
        words = {word for word, n in self._last.items() if n >= LEAST_TITLES and self._may_be_head(word)}
        words = {word for word in words if self._heads_of_names[word] or self._is_thing(word)}
        found: dict[str, list[str]] = defaultdict(list)
        for product, row in zip(self._mined.products, self.phrases, strict=True):
            for word in words.intersection(find_end(phrase.words) for phrase in row):
                found[word].append(product.title)
        return found

    def _may_be_head(self, word: str) -> bool:
        return len(word) > 1 and word not in self._colours and word not in self._conditions and self._is_noun(word)

    def _is_head(self, word: str) -> bool:
        share = self._ends[word] / max(self._uses[word], self._ends[word])
        if word in self._services or word in self._joined or (share >= _SURELY and self._is_agent(word)):
            return True
        if not self._may_be_head(word):
            return False
        if not self.taxonomy_names and self._thesaurus is None:
            return share >= 0.4 and self._ends[word] > 2
        names, is_thing = self._heads_of_names[word], self._is_thing(word)
        last = self._last[word] / self._uses[word]  # share of uses that end a phrase
        if self.taxonomy_names and not names and (last < _LEAST_LAST or self._is_series(word)):
            return False  # "front load white" is no load; a BarraCuda is a fish to the thesaurus
        fit = self._fit.get(word, _FITS) if self._fit else 1.0
        if self._ends[word] > 1 and share >= 0.25:
            if names > 2 or share >= 0.7:
                return names > 0 or is_thing
            if names > 0:
                return share >= 0.5 or ((is_thing or names > 1) and fit >= _FITS)
            return is_thing and fit >= _FITS_WELL and len(word) > 2
        if word in self.taxonomy_names and is_thing and last >= 0.4:
            is_seen = word in self._fit or self._ends[word] > 0 or self._uses[word] < _SEEN
            return names > 2 or (is_seen and fit >= _FITS)
        if share >= 0.05 and last >= 0.25 and fit >= _FITS and (word in self.taxonomy_names or names > 2):
            return True
        if word in self.taxonomy_names and is_thing and names > 2 and share >= 0.05 and word not in self._fit:
            return True
        return share >= 0.03 and names > 0 and self._fit.get(word, 0.0) >= (_FITS_WELL if is_thing else 2 * _FITS_WELL)

    def _is_hyphenated(self, words: Sequence[str]) -> bool:
        """Say whether the thesaurus knows a name that ends in a letter: a CD-R."""
        senses = () if self._thesaurus is None else self._thesaurus.synonyms(" ".join(words))
        return len(words) == 2 and any("-".join(words) in sense.lemmas for sense in senses)

    def _is_series(self, word: str) -> bool:
        """Say whether one brand of several has nearly all products with a word."""
        return len(self._brands) > 1 and word in self._series

    def _is_agent(self, word: str) -> bool:
        """Say whether a word is an agent noun that the tagger marks often and that is no series of one brand."""
        often = self._ends[word] >= _OFTEN
        return often and word.endswith(_AGENTS) and word not in self._series and word not in self._conditions

    def is_in_sources(self, name: str) -> bool:
        """Say whether the taxonomy and the thesaurus both know a name as a thing that can be sold."""
        return name in self._written_apart or (name in self.taxonomy_names and self._is_thing(name))

    def _is_noun(self, word: str) -> bool:
        """Say whether the commonest spelling behind a stem is a noun: of "optic" that is "optical", an adjective."""
        written = self._written.get(word)
        if self._thesaurus is None or not written:
            return True
        if word.endswith("ing") and not self._is_thing(word):
            return False  # what one does: "printing", "gaming"; a "housing" is a thing
        commonest = max(written, key=lambda spelling: (written[spelling], spelling))
        return commonest in self._category_words or bool(self._thesaurus.synonyms(commonest))

    def _is_thing(self, name: str) -> bool:
        """Say whether the thesaurus knows a name as something that can be sold, in one of its first two meanings."""
        if self._thesaurus is None:
            return False
        if name not in self._things:
            senses = [sense for sense in self._thesaurus.synonyms(name) if sense.rank <= 2 and not sense.instance]
            self._things[name] = any(sense.domain in THINGS for sense in senses)
        return self._things[name]

    def _is_known(self, word: str) -> bool:
        """Say whether a modifier is a word of the language, and no name of a series."""
        if not self._name_words and self._thesaurus is None:
            return True
        return word in self._name_words or (self._thesaurus is not None and bool(self._thesaurus.synonyms(word)))
