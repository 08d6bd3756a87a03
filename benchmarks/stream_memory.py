"""Memory that coding a catalogue takes: a stream of titles is read, coded and written, up to a million of them.

python benchmarks/stream_memory.py [--titles 10000,100000,1000000] [--json]

Our code runs as it does on a cluster: documents page by page, own values, beam search, packing, the bytes of the bulk
requests. A stand-in for the cluster produces each document when it is read, and drops what is written. The model is
tiny, so that a million titles take minutes: it gives every text the same random distribution. Each title has five of
20,000 words, by Zipf's law, and a part number of its own. That is the worst case for everything that remembers words.
The figure is the peak resident memory of the process, as the system reports it.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from benchmarks.measures import Measure, print_measures
from gram_os.arrays import FloatArray, IntArray
from gram_os.cluster.bulk import Backoff, BulkItem, write_bulk
from gram_os.cluster.client import Cluster
from gram_os.cluster.labels import LabelState
from gram_os.cluster.stored import DocumentKey, StoredDocument
from gram_os.ingest.documents import (
    CodedDocument,
    Document,
    code_documents,
    gather_chunks,
    read_document,
    write_documents,
)
from gram_os.model.bundle import Bundle, Manifest, seal, write_tables
from gram_os.model.decode import Step
from gram_os.model.generator import Generator
from gram_os.model.trie import CodeTrie
from gram_os.text.attribute import AttributeType, Side
from gram_os.text.dictionary import AttributeDictionary, Vocabulary
from gram_os.text.normalise import Normaliser

VALUES = 200  # values of the tiny model
WORDS = 20_000  # different words of the titles
# Growth from the first reading to the last. Memory may fill up once: the normaliser remembers the last 100,000 words,
# some 30 MB. (With 1,000 remembered words, 250,000 titles take 2 MB more than 10,000.) Memory may not grow with the
# titles.
MOST_GROWTH_MB = 64.0
PAGE = 1000


class TinyModel:
    """A `LanguageModel` that has the same distribution for every text and prefix."""

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
    """The part of a `Cluster` that coding uses. It produces documents when they are read, and counts writes."""

    titles: Iterable[str]
    written_bytes: int = 0
    backoff: Backoff = field(default_factory=Backoff)
    _read: dict[str, str] = field(default_factory=dict)  # documents between their scan and their write

    def scan(self, index: str) -> Iterator[dict[str, Any]]:
        """Yield documents, page by page as a real cluster does. A second scan finds none."""
        numbered = enumerate(self.titles)
        while page := list(islice(numbered, PAGE)):
            self._read |= {str(at): json.dumps({"title": title}) for at, title in page}
            yield from [
                {"_index": index, "_id": str(at), "_source": {"title": title}, "_seq_no": at, "_primary_term": 1}
                for at, title in page
            ]

    def read_documents(self, keys: Sequence[DocumentKey]) -> list[StoredDocument]:
        """Return the documents as they were scanned."""
        return [StoredDocument(self._read.pop(key.id), 1, int(key.id), 1) for key in keys]

    def bulk(self, actions: Iterable[Mapping[str, object]], *, backoff: Backoff | None = None) -> Iterator[BulkItem]:
        """Build the bytes of the real requests, and answer success to each action."""
        return write_bulk(actions, self._send, backoff=backoff or self.backoff)

    def _send(self, lines: bytes) -> list[dict[str, Any]]:
        self.written_bytes += len(lines)
        return [{"index": {"status": 200}} for _ in range(lines.count(b"\n") // 2)]


def draw_titles(count: int) -> Iterator[str]:
    """Yield titles of five random words and a part number of their own."""
    rng = np.random.default_rng(0)
    for start in range(0, count, PAGE):
        ranks = rng.zipf(1.3, (min(PAGE, count - start), 5)) % WORDS
        for at, row in enumerate(ranks.tolist(), start):
            yield " ".join([*(_spell(rank) for rank in row), f"pn{at:07d}x"])


def _spell(rank: int) -> str:
    """Return a word of letters, a different one for every rank.

    >>> _spell(0), _spell(27)
    ('qa', 'qbb')
    """
    letters = "q"
    while rank >= 26:
        rank, rest = divmod(rank, 26)
        letters += chr(ord("a") + rest)
    return letters + chr(ord("a") + rank)


def make_bundle(folder: Path) -> Bundle:
    """Write a bundle of `VALUES` values. Its codes are every value and 2,000 pairs."""
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
    Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]")).save(str(folder / "tokenizer.json"))  # bundles have one
    return seal(folder, Manifest(label="m1", backbone="compact", precision="fp32", attributes={}, title_codes=2))


def peak_megabytes() -> float:
    """Return the peak resident memory of the process so far, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)


def measure(marks: Sequence[int], folder: Path) -> list[Measure]:
    """Measure the peak memory after each number of titles in `marks`, and its growth from the first to the last."""
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
    read = (read_document(hit, state, generator.bundle) for hit in cluster.scan("products"))
    documents = (document for document in read if isinstance(document, Document))
    for chunk in gather_chunks(code_documents(generator, documents), seconds=60):
        coded = [item for item in chunk if isinstance(item, CodedDocument)]
        progress(len(write_documents(cast(Cluster, cluster), state, coded).written))
    seconds = time.perf_counter() - started
    if done != marks[-1] or len(peaks) != len(marks):
        raise RuntimeError(f"{done} of {marks[-1]} titles were coded, {len(peaks)} readings")
    return [
        *(Measure(f"memory.{mark}", peak, "MB") for mark, peak in zip(marks, peaks, strict=True)),
        Measure("memory.growth", peaks[-1] - peaks[0], "MB", MOST_GROWTH_MB),
        Measure("memory.written", cluster.written_bytes / 1e6, "MB"),
        Measure("memory.rate", done / seconds, "titles/s"),
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--titles", default="10000,100000,1000000", help="numbers of titles after which memory is read")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    marks = sorted(int(part) for part in args.titles.split(","))
    with tempfile.TemporaryDirectory() as folder:
        print_measures("Memory of coding", measure(marks, Path(folder)), as_json=args.json)


if __name__ == "__main__":
    main()
