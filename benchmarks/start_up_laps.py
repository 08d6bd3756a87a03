"""One search in this process, timed part by part from the first import on. start_up.py starts this process.

python -m benchmarks.start_up_laps URL INDEX QUERY

Prints {part: [seconds by the clock, CPU seconds of the process]}. Imports stand where a verb has them, because their
time is measured too.
"""

from __future__ import annotations

import json
import sys
import time

_laps: dict[str, tuple[float, float]] = {}
_last = (time.perf_counter(), 0.0)


def _lap(part: str) -> None:
    global _last
    now = (time.perf_counter(), time.process_time())
    _laps[part] = (now[0] - _last[0], now[1] - _last[1])
    _last = now


def run(url: str, index: str, query: str) -> None:
    """Do what `gram-os search` does, step by step."""
    from gram_os.cli.main import build_app

    build_app("search")
    _lap("import command line")
    from gram_os.settings import load_settings

    settings = load_settings(cluster={"url": url})
    _lap("import settings")
    from gram_os.cluster.client import Cluster

    _lap("import cluster")
    import onnxruntime  # noqa: F401

    _lap("import ONNX Runtime")
    from gram_os.model.backbone import open_model, open_tokeniser
    from gram_os.model.bundle import Bundle
    from gram_os.model.generator import Generator
    from gram_os.query_pipeline.systems import open_pipeline

    _lap("import the rest")
    cluster = Cluster.connect(settings.cluster)
    _lap("connect")
    bundle = Bundle.load()
    _lap("verify bundle")
    model = open_model(bundle)
    _lap("open graphs")
    generator = Generator(bundle, model, open_tokeniser(bundle))
    generator.code_queries([query])
    _lap("tables, trie, first codes")
    open_pipeline(cluster, index, generator=generator).search(query)
    _lap("first search")
    cluster.close()


if __name__ == "__main__":
    run(*sys.argv[1:])
    sys.stdout.write(json.dumps(_laps) + "\n")
