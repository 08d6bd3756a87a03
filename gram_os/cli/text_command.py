"""A command whose argument is a text that people type: one that begins with "-" is a text where it can be no option.

Knows how options look, and no verb.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any

from typer.core import TyperCommand

_OPTION = re.compile(r"-[A-Za-z]\S*|--[A-Za-z].*", re.DOTALL)


class TextCommand(TyperCommand):
    """A command with one text as its argument, such as `gram-os search "-20 degree"`.

    Whatever looks like an option is one. An unknown option stays an error, and its message says how a text like it is
    written.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the words behind the verb. Raises click's usage errors."""
        with_value = {name for option in self.params if _takes_value(option) for name in option.opts}
        try:
            return super().parse_args(ctx, move_texts(args, with_value))
        except Exception as error:
            if hasattr(error, "possibilities") and hasattr(error, "message"):  # NoSuchOption of click, or of typer's
                error.message += ' (a text that begins with "-" comes last, behind "--")'
            raise


def move_texts(words: Sequence[str], with_value: Collection[str]) -> list[str]:
    """Put the texts that begin with "-" behind "--", where the parser takes them as they are.

    with_value: the names of the options whose next word is their value.

    >>> move_texts(["-20 degree", "--index", "products"], {"--index"})
    ['--index', 'products', '--', '-20 degree']
    >>> move_texts(["lamp", "--from", "-1"], {"--from"})
    ['lamp', '--from', '-1']
    """
    stop = words.index("--") if "--" in words else len(words)
    others: list[str] = []
    texts: list[str] = []
    for word in words[:stop]:
        is_value = bool(others) and others[-1] in with_value
        (texts if not is_value and is_text(word) else others).append(word)
    return [*others, "--", *texts, *words[stop + 1 :]] if texts else list(words)


def is_text(word: str) -> bool:
    """Return whether a word begins with "-" and can be no option: an option's name begins with a letter of ASCII.

    A word in quotes with a space in it is a text behind a single "-". Behind "--" it is an option with too much in its
    quotes.

    >>> [is_text(word) for word in ("-20 degree", "-5", "- lamp", "-été", "-x ray", "--- sale ---")]
    [True, True, True, True, True, True]
    >>> [is_text(word) for word in ("-lamp", "-x", "--explian", "--size 5", '--filter={"a": 1}', "lamp", "-")]
    [False, False, False, False, False, False, False]
    """
    return len(word) > 1 and word.startswith("-") and not _OPTION.fullmatch(word)


def _takes_value(option: Any) -> bool:
    return option.param_type_name == "option" and not option.is_flag and not option.count
