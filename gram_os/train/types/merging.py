"""Which types of a catalogue are one thing under two names: toner, toner cartridge; motherboard, desktop board.

Knows names, how many products each has, and how alike the products of two names are. Knows no texts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from enum import Enum, auto

import numpy as np
import scipy.sparse as sparse

from gram_os.arrays import FloatArray, IntArray
from gram_os.train.types.name_fit import unit

_RIVALS = 5  # types that are compared with a type before it is merged
# Mean P of the other type for a type's products, before the two are one; and where one is narrower. The classifier
# does not read the names, so products that differ by name alone look alike to it.
_ALIKE, _SAME = 0.3, 0.4
_RELATED = 0.7  # cosine of the mean titles of two siblings, from which they may be one type
_EQUAL = 0.8  # cosine of the mean titles of two types, less the mean of all, from which variants of a name are one type


def find_merges(
    names: Sequence[str], types: IntArray, log_probs: FloatArray, vectors: FloatArray, acronyms: Mapping[str, str]
) -> IntArray:
    """Return the type that each type becomes, itself where it stays: int64 (types,).

    Two types are one where their names are kin and the classifier cannot tell them apart, or where variants of a name
    have mean titles that are all but the same. The rarer type becomes the commoner one. A name that ends in another one
    ("laser printer") is narrower, and is merged only where it means the same to the classifier. The broader one of two
    names stays: who writes "monitor" says no more.

    types: int64 (products,), places in `names`. log_probs: float32 (products, types). vectors: float32 (products,
    width), of the titles. acronyms: name -> another name of the same thing, such as an acronym and its words.
    """
    count = len(names)
    products = np.bincount(types, minlength=count)
    members = sparse.csr_matrix(
        (np.ones(len(types), np.float32), (types, np.arange(len(types)))),
        (count, len(types)),
    )
    likeness = (members @ np.exp(log_probs)) / np.maximum(products, 1)[:, None]  # mean P(column | products of the row)
    means = unit(members @ (vectors - vectors.mean(0)))
    cosines = means @ means.T
    target = np.arange(count)
    at = {name: place for place, name in enumerate(names)}
    same: dict[int, set[int]] = defaultdict(set)
    for pair in acronyms.items():
        if pair[0] in at and pair[1] in at:
            one, other = at[pair[0]], at[pair[1]]
            same[one].add(other)
            same[other].add(one)
    for place in np.argsort(products, kind="stable").tolist():
        equal = np.flatnonzero(cosines[place] >= _EQUAL)
        rivals = np.argsort(-likeness[place], kind="stable")[:_RIVALS].tolist()
        rivals += sorted(same[place])
        rivals += equal[np.argsort(-cosines[place, equal], kind="stable")].tolist()
        for other in rivals:
            is_same = other in same[place]
            # The rarer one gives way. Of an acronym and its words, as common as each other, the later one does.
            if (products[other], is_same and other < place) <= (products[place], False):
                continue
            kinship = _compare_names(names[place], names[other])
            confused = likeness[place, other] >= (_SAME if kinship is _Kinship.NARROWER else _ALIKE)
            confused &= kinship is not _Kinship.SIBLING or cosines[place, other] >= _RELATED
            alike = kinship is _Kinship.VARIANT and cosines[place, other] >= _EQUAL
            if is_same or (kinship is not _Kinship.NONE and (confused or alike)):
                target[place] = other
                break
    while not np.array_equal(target, target[target]):
        target = target[target]
    return target


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
