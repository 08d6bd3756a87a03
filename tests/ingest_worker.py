"""A backfill in a process of its own, which a test can kill.

Arguments: URL, index, folder of a bundle, milliseconds a document, workers.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from gram_os.catalogue import Product
from gram_os.cluster.client import Cluster
from gram_os.cluster.labels import LabelState
from gram_os.ingest.backfill import BackfillOptions, backfill
from gram_os.model.bundle import Bundle
from gram_os.model.coded import CodedText
from gram_os.model.generator import Generator
from gram_os.settings import ClusterSettings
from tests.bundles import VALUES
from tests.fakes import TableModel


class SlowCoder:
    """A generator that takes its time, as a remote model does. It reads ahead no further than it codes."""

    def __init__(self, generator: Generator, seconds: float):
        self.bundle, self._generator, self._seconds = generator.bundle, generator, seconds

    def code_products(self, products: Iterable[Product]) -> Iterator[CodedText]:
        for product in products:
            yield from self.code_batch([product])

    def code_batch(self, products: Sequence[Product]) -> list[CodedText]:
        time.sleep(self._seconds * len(products))
        return self._generator.code_batch(products)


def main(url: str, index: str, folder: str, milliseconds: str, *options: str) -> None:
    bundle = Bundle.load(Path(folder))
    coder = SlowCoder(Generator(bundle, TableModel(len(VALUES))), float(milliseconds) / 1000)
    cluster = Cluster(ClusterSettings(url=url, timeout_s=120))
    workers = int(options[0]) if options else 1
    report = backfill(
        cluster, index, LabelState("t1", bundle.id, "title"), coder, BackfillOptions(workers=workers, slices=8)
    )
    print(  # noqa: T201
        report.coded, report.unchanged, report.conflicts, report.refusals
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
