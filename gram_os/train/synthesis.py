"""Synthetic queries out of a catalogue's own values: what shoppers might type, head and long tail.

A query is a *template*, the sequence of attribute types of a real query (QueryNER's label sequences with their
counts), filled with a product's typed values, then worn as typed text is: words dropped, swapped, pluralised, written
together, misspelt. Popular templates and values come up as often as they stand in the data, so heads are frequent.
Knows texts, not models.
"""

from __future__ import annotations

import random
import string
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources

from gram_os.attribute import AttributeType
from gram_os.catalogue import Product
from gram_os.errors import InputError
from gram_os.normalise import STOPWORDS
from gram_os.own_values import field_texts
from gram_os.tagger import Span

Template = tuple[AttributeType, ...]
Surfaces = Mapping[AttributeType, Sequence[str]]  # texts of a product by type, as they are written


def read_templates() -> dict[Template, int]:
    """The type sequences of QueryNER's training queries with their counts (labels MIT, see NOTICE)."""
    text = resources.files("gram_os.train").joinpath("query_templates.tsv").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in text.splitlines())
    return {tuple(AttributeType(name) for name in types.split()): int(count) for count, types in rows}


def product_surfaces(
    product: Product, spans: Sequence[Span], attributes: Mapping[str, AttributeType]
) -> dict[AttributeType, list[str]]:
    """What a product offers to fill templates with: its tagged spans and short field values."""
    found: dict[AttributeType, list[str]] = defaultdict(list)
    for span in spans:
        found[span.type].append(span.text)
    for text, kind in field_texts(product, attributes):
        if 1 <= len(text.split()) <= 3:
            found[kind].append(text.strip())
    return dict(found)


def synthesise_queries(
    products: Sequence[Product], surfaces: Sequence[Surfaces], *, count: int, seed: int = 0
) -> list[str]:
    """`count` queries, about half of them from templates, the rest a few words of a title; in random order.

    Raises InputError when no title holds a word.
    """
    rng = random.Random(seed)  # noqa: S311
    usable = [at for at, product in enumerate(products) if _title_words(product.title)]
    if count and not usable:
        raise InputError(
            f"none of the {len(products)} titles holds a word to make queries of; check --title-field"
        )
    templates = read_templates()
    fitting: dict[frozenset[AttributeType], tuple[list[Template], list[int]]] = {}
    queries: list[str] = []
    while len(queries) < count:
        at = rng.choice(usable)
        types = frozenset(surfaces[at])
        if types not in fitting:
            kept = [t for t in templates if set(t) <= types]
            fitting[types] = kept, [templates[t] for t in kept]
        if fitting[types][0] and rng.random() < 0.55:
            words = _fill(rng.choices(*fitting[types])[0], surfaces[at], rng)
        else:
            words = _pick_words(products[at].title, rng)
        text = _wear(words, rng)
        if text:
            queries.append(text)
    return queries


def _fill(template: Template, surfaces: Surfaces, rng: random.Random) -> list[str]:
    words: list[str] = []
    for kind in template:
        value = rng.choice(surfaces[kind]).split()
        if kind is AttributeType.PRODUCT_TYPE and len(value) > 2 and rng.random() < 0.5:
            value = value[-2:]  # the head of a long product type
        words += [word for word in value[:4] if word not in words]
    return words


def _pick_words(title: str, rng: random.Random) -> list[str]:
    """One to four words that stand near each other in the title, sometimes turned round."""
    words = _title_words(title)
    size = min(len(words), rng.choices((1, 2, 3, 4), (0.2, 0.4, 0.28, 0.12))[0])
    start = rng.randrange(len(words))
    near = words[max(0, start - 2) : start + 4]
    places = sorted(rng.sample(range(len(near)), min(size, len(near))))
    picked = [near[i] for i in places]
    if rng.random() < 0.25:
        rng.shuffle(picked)
    return picked


def _title_words(title: str) -> list[str]:
    stripped = (word.strip(",.;:()[]\"'®™*#") for word in title.split())
    return [word for word in stripped if word and word.lower() not in STOPWORDS]


def _wear(words: Sequence[str], rng: random.Random) -> str:
    """What typing does to words: lower case, and now and then a drop, a plural, a join or a slip of the finger."""
    worn = [word.lower() for word in words]
    if len(worn) > 3 and rng.random() < 0.3:
        worn.pop(rng.randrange(len(worn)))
    if worn and rng.random() < 0.15:
        worn[-1] = pluralise(worn[-1])
    if len(worn) > 1 and rng.random() < 0.04:
        at = rng.randrange(len(worn) - 1)
        worn[at : at + 2] = [worn[at] + worn[at + 1]]
    if worn and rng.random() < 0.1:
        at = rng.randrange(len(worn))
        worn[at] = misspell(worn[at], rng)
    return " ".join(worn)[:120].strip()


def pluralise(word: str) -> str:
    """The other number of a plain English word.

    >>> pluralise("battery"), pluralise("cables"), pluralise("box"), pluralise("x2")
    ('batteries', 'cable', 'boxes', 'x2')
    """
    if not word.isalpha() or len(word) < 3:
        return word
    if word.endswith("ies"):
        return word[:-3] + "y"
    if word.endswith("s") and not word.endswith("ss"):
        return word[:-1]
    if word.endswith("y") and word[-2] not in "aeiou":
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("s", "x", "ch", "sh")) else "s")


def misspell(word: str, rng: random.Random) -> str:
    """One slip in a word of five letters and more: a letter left out, doubled, swapped with the next, or wrong."""
    if len(word) < 5 or not word.isalpha():
        return word
    at = rng.randrange(1, len(word) - 1)
    slip = rng.randrange(4)
    if slip == 0:
        return word[:at] + word[at + 1 :]
    if slip == 1:
        return word[:at] + word[at] + word[at:]
    if slip == 2:
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return word[:at] + rng.choice(string.ascii_lowercase) + word[at + 1 :]


def value_queries(values: Iterable[str]) -> list[str]:
    """Every known value as a query of its own."""
    return [value for value in values if len(value) > 1]
