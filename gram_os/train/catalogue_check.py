"""Whether anything can be learned from a catalogue: looked at before a training begins, in seconds.

Reads titles and attribute fields as mining does. Runs no model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from gram_os.catalogue import Product
from gram_os.errors import InputError
from gram_os.text.letters import has_word
from gram_os.text.normalise import Normaliser
from gram_os.text.own_values import field_values
from gram_os.train.mining.catalogue import is_dictionary_value, title_values
from gram_os.train.mining.fields import detect_attributes
from gram_os.train.recipe import MiningRecipe

LEAST_PRODUCTS = 50


def check_catalogue(products: Sequence[Product], mining: MiningRecipe) -> None:
    """Raise InputError for a catalogue that is too small, or whose texts hold too few words to learn from.

    A catalogue needs `LEAST_PRODUCTS` products with a word in their titles, in any script. It also needs a value for
    the dictionary: one that `mining.least_products` products have in their titles or attribute fields. The check stops
    at the product that settles it, which is an early one in a catalogue of texts.
    """
    if len(products) < LEAST_PRODUCTS:
        raise InputError(
            f"{len(products)} products are too few to learn from; give a catalogue of at least {LEAST_PRODUCTS}"
        )
    normaliser = Normaliser()
    with_words, shared = 0, False
    counts: Counter[str] = Counter()
    for product in products:
        values = title_values(product, normaliser)
        with_words += any(map(has_word, values))
        counts.update(filter(is_dictionary_value, values))
        shared = shared or any(counts[value] >= mining.least_products for value in values)
        if shared and with_words >= LEAST_PRODUCTS:
            return
    if with_words < LEAST_PRODUCTS:
        raise InputError(_describe_titles(products, with_words, normaliser))
    for values in _attributes(products, mining, normaliser):
        counts.update(filter(is_dictionary_value, values))
        if any(counts[value] >= mining.least_products for value in values):
            return
    raise InputError(
        f"no word and no attribute is in {mining.least_products} of the {len(products)} products, so there is no value "
        "to learn; give a larger catalogue, or set mining.least_products lower in the recipe"
    )


def _describe_titles(products: Sequence[Product], with_words: int, normaliser: Normaliser) -> str:
    silent = next(product for product in products if not any(map(has_word, title_values(product, normaliser))))
    return (
        f"{with_words or 'none'} of the {len(products)} titles {'hold' if with_words > 1 else 'holds'} a word (that of "
        f"product '{silent.id}' is '{silent.title[:60]}'), and at least {LEAST_PRODUCTS} must; name the column of the "
        "products' names by --title-field, or give a catalogue with words in its titles"
    )


def _attributes(products: Sequence[Product], mining: MiningRecipe, normaliser: Normaliser) -> Iterator[list[str]]:
    attributes = detect_attributes(products) if mining.attributes is None else mining.attributes
    for product in products:
        yield list(dict.fromkeys(value for value, _ in field_values(product, attributes, normaliser)))
