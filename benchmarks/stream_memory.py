"""How much memory coding a catalogue takes: `backfill` over a stream of titles, read at 10,000, 100,000 and a million.

python benchmarks/stream_memory.py [--titles 10000,100000,1000000] [--json]

All of ours runs as it does on a cluster: documents page by page, own values, beam search, packing, the bulk requests' bytes. The
cluster is a stand-in that makes the documents as they are read and forgets what is written. So that a million titles take
minutes, the model is tiny: it gives every text one drawn distribution. Each title has five words of 20,000, by Zipf's law, and
a part number that no other has, the worst case for whatever remembers words. Peak resident memory of the process, by the system.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np

from benchmarks.measures import Measure, print_measures
from gram_os.arrays import FloatArray, IntArray
from gram_os.cluster.bulk import Backoff, BulkItem, write_bulk
from gram_os.cluster.client import Cluster
from gram_os.cluster.labels import LabelState
from gram_os.ingest.backfill import backfill
from gram_os.model.bundle import Bundle, Manifest, seal, write_tables
from gram_os.model.decode import Step
from gram_os.model.generator import Generator
from gram_os.model.trie import CodeTrie
from gram_os.text.attribute import AttributeType, Side
from gram_os.text.dictionary import AttributeDictionary, Vocabulary
from gram_os.text.normalise import Normaliser

VALUES = 200  # that the tiny model knows
WORDS = 20_000  # of the titles
# From the first reading to the last. What fills up once may (the normaliser remembers the last 100,000 words, some 30 MB; with
# 1,000 of them 250,000 titles take 2 MB more than 10,000), what grows with the titles may not.
MOST_GROWTH_MB = 64.0
PAGE = 1000


class TinyModel:
    """A `LanguageModel` with one distribution for every text and every place."""

    end = VALUES

    def __init__(self) -> None:
        logits = np.random.default_rng(0).normal(size=VALUES + 1)
        self._log_probs = (logits - np.log(np.exp(logits).sum())).astype(np.float32)

    def start(self, texts: Sequence[str], side: Side) -> Step:
        """See `LanguageModel.start`."""
        del side
        return self._answer(len(texts), 1)

    def advance(self, state: object, parents: IntArray, tokens: IntArray) -> Step:
        """See `LanguageModel.advance`."""
        del state, parents
        return self._answer(*tokens.shape)

    def _answer(self, texts: int, beams: int) -> Step:
        log_probs: FloatArray = np.tile(self._log_probs, (texts, beams, 1))  # (texts, beams, values + 1)
        return Step(log_probs, None)


@dataclass(slots=True)
class StandIn:
    """As much of a `Cluster` as `backfill` uses: documents made as they are read, writes counted and forgotten."""

    titles: Iterable[str]
    written_bytes: int = 0

    def refresh(self, index: str) -> None:
        """Nothing to do."""

    def scan(self, index: str, *, query: Mapping[str, object], source: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Documents in pages, as the real one holds them."""
        del index, query, source
        numbered = enumerate(self.titles)
        while page := list(islice(numbered, PAGE)):
            yield from [
                {"_id": str(at), "_source": {"title": title}, "_seq_no": at, "_primary_term": 1} for at, title in page
            ]

    def bulk(self, actions: Iterable[Mapping[str, object]]) -> Iterator[BulkItem]:
        """The real requests' bytes, and an answer of success to each."""
        return write_bulk(actions, self._send, backoff=Backoff())

    def _send(self, lines: bytes) -> list[dict[str, Any]]:
        self.written_bytes += len(lines)
        return [{"update": {"status": 200}} for _ in range(lines.count(b"\n") // 2)]


def draw_titles(count: int) -> Iterator[str]:
    """Titles of five drawn words and a part number of their own."""
    rng = np.random.default_rng(0)
    for start in range(0, count, PAGE):
        ranks = rng.zipf(1.3, (min(PAGE, count - start), 5)) % WORDS
        for at, row in enumerate(ranks.tolist(), start):
            yield " ".join([*(_spell(rank) for rank in row), f"pn{at:07d}x"])


def _spell(rank: int) -> str:
    """A word of letters, another one for every rank.

    >>> _spell(0), _spell(27)
    ('qa', 'qbb')
    """
    letters = "q"
    while rank >= 26:
        rank, rest = divmod(rank, 26)
        letters += chr(ord("a") + rest)
    return letters + chr(ord("a") + rank)


def make_bundle(folder: Path) -> Bundle:
    """A bundle of `VALUES` words, with every single one and 2,000 pairs as codes."""
    names = tuple(sorted(_spell(rank) for rank in range(VALUES)))
    pairs = np.random.default_rng(1).integers(0, VALUES, (2000, 2))
    codes = [
        *((token,) for token in range(VALUES)),
        *(tuple(sorted(p)) for p in pairs.tolist() if p[0] != p[1]),
    ]
    write_tables(
        folder,
        dictionary=AttributeDictionary(names, (AttributeType.OTHER,) * VALUES, (1,) * VALUES),
        vocabulary=Vocabulary(dict.fromkeys(names, 1)),
        normaliser=Normaliser({}),
        trie=CodeTrie.build(codes),
    )
    return seal(folder, Manifest(label="m1", backbone="compact", precision="fp32", attributes={}, title_codes=2))


def peak_megabytes() -> float:
    """The most memory that the process has held so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


def measure(marks: Sequence[int], folder: Path) -> list[Measure]:
    """Peak memory when so many titles were coded, and what the last reading has more than the first."""
    generator = Generator(make_bundle(folder), TinyModel())
    cluster = StandIn(draw_titles(marks[-1]))
    state = LabelState("m1", generator.bundle.id, "title")
    waiting, peaks, done = list(marks), list[float](), 0

    def progress(count: int) -> None:
        nonlocal done
        done += count
        while waiting and done >= waiting[0]:
            peaks.append(peak_megabytes())
            waiting.pop(0)

    started = time.perf_counter()
    report = backfill(cast(Cluster, cluster), "products", state, generator, progress=progress)
    seconds = time.perf_counter() - started
    if report.coded != marks[-1] or len(peaks) != len(marks):
        raise RuntimeError(f"{report.coded} of {marks[-1]} titles were coded, {len(peaks)} readings")
    return [
        *(Measure(f"memory.{mark}", peak, "MB") for mark, peak in zip(marks, peaks, strict=True)),
        Measure("memory.growth", peaks[-1] - peaks[0], "MB", MOST_GROWTH_MB),
        Measure("memory.written", cluster.written_bytes / 1e6, "MB"),
        Measure("memory.rate", report.coded / seconds, "titles/s"),
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--titles", default="10000,100000,1000000", help="where memory is read, ascending")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    marks = sorted(int(part) for part in args.titles.split(","))
    with tempfile.TemporaryDirectory() as folder:
        print_measures("Memory of coding", measure(marks, Path(folder)), as_json=args.json)


if __name__ == "__main__":
    main()
