r"""Letters and marks of all scripts: the pieces that the patterns of this room are built of.

Python's `\w` holds letters and digits, but no combining marks. A word of Hindi, Thai or Tamil is letters and marks, so
a pattern of `\w` alone breaks it into single letters.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Final

# Where Unicode has combining marks that are written within words. Marks of music and of dead scripts are left out.
_BLOCKS: Final = (
    (0x300, 0x1E00),
    (0x20D0, 0x2100),
    (0x2CEF, 0x3100),
    (0xA660, 0xAC00),
    (0xFB1E, 0xFB1F),
    (0xFE20, 0xFE30),
)
_HIGH_BLOCKS: Final = ((0x10A00, 0x11E00), (0x1E000, 0x1E960))  # Chakma, Brahmi, Adlam, ...


def _ranges(places: Iterable[int]) -> Iterator[str]:
    """Yield ascending code points as ranges of a character class."""
    first = last = -1
    for place in places:
        if place != last + 1:
            if first >= 0:
                yield f"{chr(first)}-{chr(last)}"
            first = place
        last = place
    if first >= 0:
        yield f"{chr(first)}-{chr(last)}"


def _list_marks() -> str:
    places = (place for block in (*_BLOCKS, *_HIGH_BLOCKS) for place in range(*block))
    return "".join(_ranges(place for place in places if unicodedata.category(chr(place))[0] == "M"))


#: The combining marks, as what stands between the brackets of a character class.
MARKS: Final = _list_marks()
#: Letters and digits of one word. ASCII_WORD is the same for a text of ASCII, where no mark has to be looked for.
ASCII_WORD: Final = r"[^\W_]+"
WORD: Final = rf"[^\W_]+(?:[{MARKS}]+[^\W_]*)*"
#: Signs that nobody sees and that stand within words: soft hyphen, zero-width signs, marks of direction.
UNSEEN: Final = "\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufe00-\ufe0f\ufeff"
#: A word of a text as it is written, before `fold`.
WRITTEN_WORD: Final = rf"[^\W_]+(?:[{MARKS}{UNSEEN}]+[^\W_]*)*"
#: Letters without digits; each with its marks.
LETTERS: Final = rf"(?:[^\W\d_][{MARKS}]*)"
# Scripts that write words of one sign: Chinese characters, and syllables of Korean.
_SIGN = "[々\u3400-\u9fff\uac00-\ud7a3\U00020000-\U0003ffff]"

# Compiled when they are needed: each class of marks takes a millisecond, and a search in English needs none.
_compile = cache(re.compile)
_WRITTEN: Final = LETTERS + "+"
_NAMED: Final = rf"[^\W\d_](?:[^\W\d_]|[{MARKS}])|{_SIGN}"
_LONG_NAME: Final = rf"[^\W\d_](?:[^\W\d_]|[{MARKS}]){{2}}|{_SIGN}{{2}}"
_ASCII_NAMED = re.compile("[a-zA-Z]{2}")


def is_word(text: str) -> bool:
    """Say whether a text is letters of any script with their marks, and nothing else.

    >>> is_word("lamp"), is_word("किताब"), is_word("m8"), is_word("")
    (True, True, False, False)
    """
    return text.isalpha() or (not text.isascii() and _compile(_WRITTEN).fullmatch(text) is not None)


def has_word(text: str) -> bool:
    """Say whether a text holds a word: two letters in a row, a letter with its mark, or one sign of Chinese or Korean.

    >>> has_word("12 lamps"), has_word("黒"), has_word("की"), has_word("x464"), has_word("я 5")
    (True, True, True, False, False)
    """
    return (_ASCII_NAMED if text.isascii() else _compile(_NAMED)).search(text) is not None


def has_name(text: str) -> bool:
    """Say whether a text holds a word that could be a name: three letters or marks in a row, or two signs of Chinese.

    >>> has_name("oak"), has_name("x7 ab"), has_name("电脑"), has_name("सूती")
    (True, False, True, True)
    """
    return _compile(_LONG_NAME).search(text) is not None


def letter_words(text: str) -> list[str]:
    """Return the runs of letters of a text, each with its marks.

    >>> letter_words("4 lamps, किताब")
    ['lamps', 'किताब']
    """
    return _compile(_WRITTEN).findall(text)


def count_words(text: str) -> int:
    """Return the number of words of a text; words of digits count too."""
    return len(_compile(WORD).findall(text))
