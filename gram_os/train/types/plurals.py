"""The singular of an English noun by its spelling.

Knows no words: several spellings can be right, and the caller looks up which of them exists.
"""

from __future__ import annotations

from typing import Final

# Endings of plurals and what they stand for, the first one that fits decides. The likeliest singular comes first.
_ENDINGS: Final = (
    ("sses", ("ss",)),
    ("ches", ("ch", "che")),
    ("shes", ("sh", "she")),
    ("ies", ("y", "ie")),
    ("ves", ("ve", "f", "fe")),
    ("ses", ("se", "s")),
    ("xes", ("x", "xe")),
    ("zes", ("ze", "z")),
    ("shoes", ("shoe",)),
    ("oes", ("o", "oe")),
    ("women", ("woman",)),
    ("omen", ()),  # abdomen, as ramen and regimen
    ("amen", ()),
    ("imen", ()),
    ("men", ("man",)),
    ("s", ("",)),
)
_SINGULAR_ENDINGS: Final = ("ss", "us", "is")
_SHORTEST: Final = 3  # letters: tvs and pcs are plurals, "gs" is none


def list_singulars(word: str) -> tuple[str, ...]:
    """List what a word in lower case is the plural of, likeliest first. A word that looks singular has none.

    >>> list_singulars("batteries"), list_singulars("headphones"), list_singulars("shelves"), list_singulars("bus")
    (('battery', 'batterie'), ('headphone',), ('shelve', 'shelf', 'shelfe'), ())
    """
    if len(word) < _SHORTEST or word.endswith(_SINGULAR_ENDINGS):
        return ()
    for ending, singulars in _ENDINGS:
        if word.endswith(ending):
            return tuple(word.removesuffix(ending) + singular for singular in singulars)
    return ()
