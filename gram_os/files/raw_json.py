"""The members of a JSON object as they are written, so that a document can be written back without a changed byte.

A parsed number loses its writing: 1.10 becomes 1.1, and a keyword field finds the document by another term. Knows JSON
and nothing of OpenSearch.
"""

from __future__ import annotations

import json
import re
from typing import Final, NamedTuple

_read: Final = json.JSONDecoder(strict=False).raw_decode
_SPACE: Final = re.compile(r"[ \t\r\n]*")


class Member(NamedTuple):
    """A member of an object: its name, its value as it is written, and where it starts and ends in the text."""

    name: str
    value: str
    start: int
    end: int


def find_end(text: str, start: int) -> int:
    """Return the place behind the value that begins at `start`. The text must be valid JSON."""
    return int(_read(text, start)[1])


def split_object(text: str) -> list[Member]:
    """Return the members of a JSON object in order. The text must be valid JSON.

    >>> [(member.name, member.value) for member in split_object('{"price": 1.10, "sizes": [4, 5.0]}')]
    [('price', '1.10'), ('sizes', '[4, 5.0]')]
    """
    return _split_object(text, _skip(text, 0))[0]


def _split_object(text: str, start: int) -> tuple[list[Member], int]:
    """Return the members of the object at `start`, and the place behind it."""
    members = []
    at = _skip(text, start + 1)
    while text[at] != "}":
        first = at
        name, at = _read(text, at)
        value = _skip(text, _skip(text, at) + 1)  # behind the colon
        _, at = _read(text, value)
        members.append(Member(name, text[value:at], first, at))
        at = _skip(text, at)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return members, at + 1


def replace_member(text: str, name: str, value: str) -> str:
    """Return an object with one member replaced, or added at its end. Everything else stays as it is written.

    >>> replace_member('{"price": 1.10}', "codes", "[]")
    '{"price": 1.10,"codes":[]}'
    >>> replace_member('{"codes": ["a"], "price": 1.10}', "codes", "[]")
    '{"codes":[], "price": 1.10}'
    """
    key = json.dumps(name)
    # The name is rarely there, and a search for it costs less than to split the object.
    members = split_object(text) if key in text or "\\" in text else ()
    for found in members:
        if found.name == name:
            return f"{text[: found.start]}{key}:{value}{text[found.end :]}"
    close = text.rindex("}")
    before = text[:close].rstrip()
    return f"{before}{'' if before.endswith('{') else ','}{key}:{value}{text[close:]}"


def remove_member(text: str, name: str) -> str:
    """Return an object without its members of a name. Everything else stays as it is written, but for the commas.

    >>> remove_member('{"price": 1.10, "codes": ["a"], "id": 7}', "codes")
    '{"price": 1.10, "id": 7}'
    >>> remove_member('{"price": 1.10, "codes": ["a"] }', "codes")
    '{"price": 1.10 }'
    """
    members = split_object(text) if json.dumps(name) in text or "\\" in text else []
    kept = [place for place, member in enumerate(members) if member.name != name]
    if len(kept) == len(members):
        return text
    head, tail = text[: members[0].start], text[members[-1].end :]
    # With each member goes the comma behind it. The last one has none.
    parts = [text[members[place].start : members[place + 1].start] for place in kept[:-1]]
    parts += [text[members[place].start : members[place].end] for place in kept[-1:]]
    return "".join((head, *parts, tail))


def on_one_line(text: str) -> str:
    """Return JSON without line ends, as NDJSON needs it. They mean nothing between values, and stand in none."""
    return text.replace("\r", " ").replace("\n", " ")


def _skip(text: str, at: int) -> int:
    """Return the next place that is no white space."""
    return _SPACE.match(text, at).end()  # type: ignore[union-attr]  # the pattern matches anything
