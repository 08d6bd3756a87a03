"""People's texts through the real verbs: what codes they get, and what queries find by them (`field_cases.py`)."""

from __future__ import annotations

import unicodedata
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.field_case import Case
from gram_os.cluster.client import Cluster
from gram_os.cluster.labels import require_label
from tests.command import run as run_verb


@dataclass(frozen=True, slots=True)
class Shop:
    """An index that the verbs have loaded and coded. field: of the weighted codes."""

    cluster: Cluster
    index: str
    field: str

    def codes(self, id_: str | None = None) -> set[str]:
        """The weighted codes of one document, or of all: what a search finds."""
        query = {"match_all": {}} if id_ is None else {"ids": {"values": [id_]}}
        hits = self.cluster.scan(self.index, query=query, source=[self.field])
        label, part = self.field.split(".")
        stored = (features for hit in hits for features in hit["_source"].get(label, {}).get(part, []))
        return {name.replace("\u00b7", ".") for features in stored for name in features}

    def search(self, text: str, mode: str = "gram") -> list[str]:
        """The ids that the verb prints."""
        return [
            hit["id"]
            for hit in run_verb("search", text, "--index", self.index, "--mode", mode, "--json").json()["hits"]
        ]


@dataclass(frozen=True, slots=True)
class TextCase:
    """What must be true of a shop. found: what to show when it is not."""

    folder: str
    name: str
    holds: Callable[[Shop], bool]
    found: Callable[[Shop], object]


def _has(folder: str, id_: str, *codes: str, lacks: Sequence[str] = ()) -> TextCase:
    """A document has codes, and lacks others."""
    name = f"{id_} has {', '.join(codes)}" + (f", not {', '.join(lacks)}" if lacks else "")
    return TextCase(
        folder, name, lambda shop: set(codes) <= shop.codes(id_) and not set(lacks) & shop.codes(id_),
        lambda shop: sorted(shop.codes(id_)),
    )  # fmt: skip


def _finds(folder: str, text: str, first: str, *never: str) -> TextCase:
    """A search by codes has a product first, and does not find others."""
    name = f"'{text}' finds {first} first" + (f", never {', '.join(never)}" if never else "")
    return TextCase(
        folder, name, lambda shop: shop.search(text)[:1] == [first] and not set(never) & set(shop.search(text)),
        lambda shop: shop.search(text),
    )  # fmt: skip


def _finds_nothing(folder: str, text: str) -> Iterator[TextCase]:
    shown = text if len(text) < 20 else f"{len(text):,} times {text[0]}"
    for mode in ("gram", "hybrid", "bm25"):
        yield TextCase(
            folder, f"'{shown}' finds nothing ({mode})",
            lambda shop, mode=mode: not shop.search(text, mode), lambda shop, mode=mode: shop.search(text, mode),  # type: ignore[misc]
        )  # fmt: skip


def _is_fragment(code: str) -> bool:
    """Say whether a code begins with a mark, or is one letter of a script that writes words of several."""
    is_letter = len(code) == 1 and not code.isascii() and not unicodedata.name(code, "").startswith("CJK")
    return is_letter or unicodedata.category(code[0])[0] == "M"


_MARKUP = ("div", "li", "ul", "href", "nbsp", "amp", "strong", "p style", "class", "333", "333 in", "rte", "https")
_NUMBERS = "11-decimal-comma"
_SCRIPTS = "12-scripts"
_HTML = "20-html-descriptions"
_QUERIES = "21-queries"

CASES: Sequence[TextCase] = (
    _has(_NUMBERS, "d6", "0.5 l", lacks=("5 l", "5", "0")),
    _has(_NUMBERS, "d0", "0.25 l", lacks=("25 l", "25", "0")),
    _has(_NUMBERS, "d37", "1.5 mm", lacks=("5 mm", "5", "1")),
    _has(_NUMBERS, "d46", "6.3 m", lacks=("3 m",)),
    _finds(_NUMBERS, "trinkflasche 5 l", "d27"),
    _finds(_NUMBERS, "trinkflasche 0,5 l", "d6"),
    _finds(_NUMBERS, "trinkflasche 0.5 liter", "d6"),
    _finds(_NUMBERS, "klinkenkabel 3,5 mm", "d41"),
    _has(_SCRIPTS, "s0", "バンド", lacks=("ハンド",)),
    _has(_SCRIPTS, "s2", "ガラス", "コップ", lacks=("カラス", "コッフ")),
    _has(_SCRIPTS, "s4", "食パン"),
    _has(_SCRIPTS, "s8", "किताब", "बच्चों"),
    _has(_SCRIPTS, "s16", "เสื้อ", lacks=("เสือ", "เสื่อ")),
    _has(_SCRIPTS, "s33", "60 cm"),
    _finds(_SCRIPTS, "カラス", "s3"),
    _finds(_SCRIPTS, "ﾊﾞﾝﾄﾞ", "s0"),
    _finds(_SCRIPTS, "किताब", "s8"),
    _finds(_SCRIPTS, "เสือ", "s17"),
    _finds(_SCRIPTS, "kuhlschrank", "s33"),
    _finds(_SCRIPTS, "Kühlschrank", "s33"),
    _finds(_SCRIPTS, "черная мышь", "s29"),
    _finds(_SCRIPTS, "ao khoac", "s35"),
    TextCase(
        _SCRIPTS, "no code is a lone letter or mark", lambda shop: not any(map(_is_fragment, shop.codes())),
        lambda shop: [code for code in shop.codes() if _is_fragment(code)],
    ),
    TextCase(
        _HTML, "no code is markup", lambda shop: not set(_MARKUP) & shop.codes(),
        lambda shop: set(_MARKUP) & shop.codes(),
    ),
    _has(_HTML, "x0", "desk", "lamp", "pouch"),
    _finds(_QUERIES, "5600", "q0", "q1"),
    _finds(_QUERIES, "visto 5600", "q0"),
    _finds(_QUERIES, "EH-TW5650", "q1"),
    _finds(_QUERIES, "wh1000xm4", "q2"),
    _finds(_QUERIES, "1000xm5 headphones", "q3"),
    _finds(_QUERIES, "romex 12/2", "q10"),
    _finds(_QUERIES, "t shirt", "q15"),
    _finds(_QUERIES, "c# book", "q40"),
    _finds(_QUERIES, "-20 degree", "q13"),
    _finds(_QUERIES, "m8x40", "q21"),
    *(case for text in ("*", "?", "...", "the of and", "x" * 5000) for case in _finds_nothing(_QUERIES, text)),
)  # fmt: skip


@contextmanager
def _open_shop(cluster: Cluster, file: Path) -> Iterator[Shop]:
    index = f"field-text-{uuid.uuid4().hex[:12]}"
    for verb in (["load", str(file)], ["attach"], ["backfill"]):
        done = run_verb(*verb, "--index", index)
        if done.code != 0:
            raise RuntimeError(f"{' '.join(verb)}: exit {done.code}: {done.err}")
    try:
        yield Shop(cluster, index, f"gram_{require_label(cluster, index).label}.weights")
    finally:
        cluster.delete_index(index)


def run_case(case: TextCase, shop: Shop) -> Case:
    """Look at one case."""
    holds = case.holds(shop)
    return Case(f"{case.folder[:2]}/{case.name}", "true", "true" if holds else str(case.found(shop))[:300], holds)


def run(data: Path, cluster: Cluster) -> list[Case]:
    """Run all cases, folder by folder."""
    found: list[Case] = []
    for folder in dict.fromkeys(case.folder for case in CASES):
        with _open_shop(cluster, data / folder / "p.jsonl") as shop:
            found += [run_case(case, shop) for case in CASES if case.folder == folder]
    return found
