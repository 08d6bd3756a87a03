"""Markup goes, everything else stays, and no text takes long."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gram_os.text.markup import strip_markup


@pytest.mark.parametrize(
    "text",
    [
        "", "lamp", "a < b", "5 < 10 in", "<3", "AT&T", "R&D", "Black & Decker", "Q&A;", "Sound&region",
        "Rock&copy cat", "<Brand X>", "a <b", "a<b", "<>", "< p >", "&;", "&#;", "&unknown;", "size <small",
        "5<6 & 7>6",
    ],
)  # fmt: skip
def test_a_text_without_markup_stays_as_it_is(text: str) -> None:
    assert strip_markup(text) == text


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        # Blocks separate words, tags within a line do not.
        ("<div>red</div><div>lamp</div>", "red lamp"),
        ("red<br>lamp<BR/>blue<hr />", "red lamp blue"),
        ("<tr><td>red</td><td>lamp</td></tr>", "red lamp"),
        ("<span>T</span>-<b>shirt</b> H<sub>2</sub>O", "T-shirt H2O"),
        ("red<img src='a.jpg' alt='blue'>lamp", "red lamp"),
        # Attributes, whatever they hold.
        ('<a href="https://shop.example/a?b=1&c=2" title="a > b">lamp</a>', "lamp"),
        ("<p title=don't>lamp</p>", "lamp"),
        ('<p\nclass="rte">lamp</p >', "lamp"),
        # What no browser shows.
        ("<style>p { color: red }</style>lamp", "lamp"),
        ("<SCRIPT type='x'>if (a < b) { '</p>' }</SCRIPT >lamp", "lamp"),
        ("<!-- <p>red</p> -->lamp<!doctype html><?xml version='1.0'?>", "lamp"),
        ("<![CDATA[red <b>lamp</b>]]>", "red lamp"),
        # Elements of other vocabularies have a colon, a hyphen, attributes or a slash.
        ("<o:p></o:p>red <my-tag>lamp</my-tag> <foo bar='1'>x</foo><foo/>", "red lamp x"),
        # Cut within a tag or an entity's neighbour.
        ('lamp <div class="fo', "lamp"),
        ("lamp</di", "lamp</di"),
        ("lamp</div", "lamp"),
        # Entities, with and without their semicolon, named and numbered.
        ("Tom &amp; Co &#8211; &#x41;&quot;&apos;", "Tom & Co – A\"'"),
        ("red&nbsp;lamp &amp more &nbsp", "red lamp & more"),
        ("&eacute;t&eacute; 5&deg;", "été 5°"),
        ("1&frasl;2", "1⁄2"),
        # Escaped twice and three times.
        ("red &amp;amp; blue", "red & blue"),
        ("red &amp;amp;amp; blue", "red & blue"),
        ("&lt;ul&gt;&lt;li&gt;red&lt;/li&gt;&lt;/ul&gt;", "red"),
        ("&amp;lt;b&amp;gt;red&amp;lt;/b&amp;gt;", "red"),
        ("5 &lt; 10", "5 < 10"),
    ],
)
def test_markup_goes(text: str, plain: str) -> None:
    assert " ".join(strip_markup(text).split()) == plain


@settings(deadline=None)
@given(st.lists(st.sampled_from([*"<>&;/!-[]ab \"'=#x1", "<p", "amp", "lt", "script", "<!--"])).map("".join))
def test_any_text_can_be_read(text: str) -> None:
    plain = strip_markup(text)
    if "<" not in text and "&" not in text:
        assert plain == text


@pytest.mark.parametrize(
    "piece", ["<", "<a ", '<a "', "<a '", "</", "<!--", "<script>", "&", "&amp;", "<![CDATA[", "<p>"]
)
def test_a_hundred_kilobytes_take_linear_time(piece: str) -> None:
    start = time.process_time()
    strip_markup(piece * (100_000 // len(piece)))
    assert time.process_time() - start < 2
