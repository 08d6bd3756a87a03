"""Markup out of texts: HTML tags, comments, scripts and entities. Everything that reads a shop's text calls this first.

Knows HTML, and nothing of words. A text without `<` and `&` comes back as it is, at no cost. A sign that is no markup
stays: "5 < 10 in", "<3", "AT&T".
"""

from __future__ import annotations

import html
import re
from typing import Final

# Elements that stand within a word or a sentence. Every other element separates words, as a browser shows it.
_INLINE_NAMES: Final = (
    "a abbr acronym b bdi bdo big cite code data del dfn em font i ins kbd mark nobr q ruby s samp small span strike"
    " strong sub sup time tt u var wbr"
)
_OTHER_NAMES: Final = (
    "address applet area article aside audio base basefont blink blockquote body br button canvas caption center col"
    " colgroup datalist dd details dialog dir div dl dt embed fieldset figcaption figure footer form frame frameset h1"
    " h2 h3 h4 h5 h6 head header hgroup hr html iframe img input label legend li link main map marquee menu meta meter"
    " nav noframes noscript object ol optgroup option output p param path picture pre progress rp rt script search"
    " section select slot source style summary svg table tbody td template textarea tfoot th thead title tr track ul"
    " video"
)
_INLINE: Final = frozenset(_INLINE_NAMES.split())
_ELEMENTS: Final = _INLINE | frozenset(_OTHER_NAMES.split())

# A tag ends before the next "<", so that a hundred kilobytes of "<a" take linear time. The inner alternatives begin
# with different signs. A quote without its partner is a sign like another (the second form).
_ATTRIBUTES = r"""(?:[^<>"']|"[^"<]*"|'[^'<]*')*"""
_MARKUP = re.compile(
    r"<!--.*?(?:-->|\Z)"
    r"|<!\[CDATA\[(?P<verbatim>.*?)(?:\]\]>|\Z)"
    r"|<(?P<dropped>script|style)\b[^<>]*>.*?(?:</(?P=dropped)\s*>|\Z)"
    r"|<[!?][a-z][^<>]*>"
    rf"|<(?P<slash>/?)(?P<name>[a-z][a-z0-9]*(?P<custom>[:-][a-z0-9:-]*)?)(?P<rest>(?=[\s/>]){_ATTRIBUTES}>|(?=[\s/>])[^<>]*(?:>|\Z)|\Z)",
    re.IGNORECASE | re.DOTALL,
)
_ATTRIBUTE = re.compile(r"""\s[\w:-]+\s*=""")
# Entities end with a semicolon. Only these few are read without one: "Sound&region" holds no "&reg".
_ENTITY = re.compile(
    r"&(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z][a-z0-9]{1,31});|&(?:amp|nbsp|lt|gt|quot)(?![\w;])", re.IGNORECASE
)
_ROUNDS: Final = 3  # feeds escape a text up to twice: "&amp;lt;p&amp;gt;"


def strip_markup(text: str) -> str:
    """Return a text without tags, comments, scripts and styles, its entities decoded.

    Tags of blocks become a space, tags within a line (b, span, a) vanish. Spaces count once, as in a browser. A text
    that was escaped more than once is read again, up to three times, because "&amp;nbsp;" is no word for anyone.

    >>> strip_markup('<ul><li>Desk&nbsp;lamp</li><li>T<b>-shirt</b> &amp;amp; more</li></ul>')
    'Desk lamp T-shirt & more'
    >>> strip_markup("a < b, <3, AT&T, 5 <10 in")
    'a < b, <3, AT&T, 5 <10 in'
    """
    if "<" not in text and "&" not in text:
        return text
    plain = text
    for _ in range(_ROUNDS):
        before, plain = plain, _ENTITY.sub(_decode, _MARKUP.sub(_remove, plain))
        if plain == before:
            break
    return text if plain == text else " ".join(plain.split())


def _decode(match: re.Match[str]) -> str:
    return html.unescape(match[0])


def _remove(match: re.Match[str]) -> str:
    if match["verbatim"] is not None:
        return f" {match['verbatim']} "
    if match["name"] is None:
        return " "
    name, rest = match["name"].lower(), match["rest"]
    # The name of an element is not enough where a text is cut within its last tag ("a <b"), and an unknown name is not
    # enough anywhere ("<Brand X>"). Then a slash or an attribute tells the tag.
    sure = match["slash"] or rest.endswith("/>") or _ATTRIBUTE.search(rest)
    known, whole = name in _ELEMENTS or match["custom"] is not None, rest.endswith(">")
    if (known and whole) or (sure and (known or whole)):
        return "" if name in _INLINE else " "
    return match[0]
