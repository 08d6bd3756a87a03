"""Cold start on the sample catalogue: GRAM and the hybrid against BM25, without clicks.

python benchmarks/cold_start.py [--bundle FOLDER] [--url URL] [--json]

One run on one index, over the 77 open queries with a product of grade 2 or higher. `bm25` is BM25 on the title, and the
goals compare with it. `bm25_fields` is a stronger lexical peer, which a shop could have without a model: the same query
over title and description (`cross_fields`). It is there because GRAM's codes use the attribute fields, and its training
used the descriptions.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from gram_os.catalogue import read_judgments, read_queries
from gram_os.cli.demo import INDEX, RELEVANT, demo_settings, prepare_index
from gram_os.cli.evaluate import evaluate_index, print_evaluation
from gram_os.cluster.client import Cluster
from gram_os.cluster.dsl import build_search
from gram_os.data import sample_file
from gram_os.embedded import resolve_cluster
from gram_os.errors import GramError
from gram_os.model.backbone import load_generator
from gram_os.query_pipeline.hit import Hit
from gram_os.query_pipeline.systems import build_systems
from gram_os.relevance import Evaluation, JudgmentSet, SearchSystem
from gram_os.relevance.evaluate import DEFAULT_AT

GOALS = {("gram", "R@300"): 0.84, ("hybrid", "R@300"): 0.89, ("hybrid", "nDCG@10"): 0.67}
FIELDS = ["title^2", "short_description.text"]  # cross_fields joins fields with the same analyser, as these have


@dataclass(frozen=True, slots=True)
class LexicalPeer:
    """BM25 over several fields together."""

    cluster: Cluster
    index: str

    def search(self, text: str, size: int) -> Sequence[Hit]:
        """Return the best `size` products of a query."""
        query = {"multi_match": {"query": text, "type": "cross_fields", "fields": FIELDS}}
        answer = self.cluster.search(self.index, build_search(query, size))
        return [Hit(hit["_id"], hit["_score"]) for hit in answer["hits"]["hits"]]


def measure_rows(found: Evaluation) -> list[dict[str, object]]:
    """Return every metric of every system, with its goal where there is one."""
    rows: list[dict[str, object]] = []
    for result in found.systems:
        for name, measure in result.measures.items():
            goal = GOALS.get((result.system, name))
            holds = None if goal is None else measure.mean >= goal
            rows.append(
                {"name": f"{result.system}.{name}", "value": round(measure.mean, 4), "unit": "ratio", "goal": goal,
                 "holds": holds}
            )  # fmt: skip
        if result.latency is not None:
            rows.append(
                {"name": f"{result.system}.latency_p50", "value": round(result.latency.p50, 1), "unit": "ms",
                 "goal": None, "holds": None}
            )  # fmt: skip
    return rows


def run(bundle: Path | None, url: str | None) -> tuple[Evaluation, dict[str, float]]:
    """Load, code and evaluate the sample. Returns the results and step -> seconds."""
    generator = load_generator(bundle)
    queries = read_queries(sample_file("queries.tsv"))
    judged = JudgmentSet.build(read_judgments(sample_file("judgments.tsv")), relevant=RELEVANT)
    seconds: dict[str, float] = {}
    with ExitStack() as stack:
        settings = stack.enter_context(demo_settings(url, once=True))
        cluster = stack.enter_context(resolve_cluster(settings, attached=True))
        prepare_index(cluster, generator, seconds)
        systems = build_systems(cluster, INDEX, ["bm25", "gram", "hybrid"], generator=generator)
        peers: dict[str, SearchSystem] = {
            "bm25": systems["bm25"],
            "bm25_fields": LexicalPeer(cluster, INDEX),
            **systems,
        }
        found, _ = evaluate_index(cluster, INDEX, peers, queries, judged, at=DEFAULT_AT)
    return found, seconds


def main() -> int:
    """Measure and print. Returns the exit code, which is 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, help="model folder; by default the shipped one")
    parser.add_argument("--url", help="a cluster; by default a node of its own")
    parser.add_argument("--json", action="store_true", help="print the measures as JSON")
    arguments = parser.parse_args()
    try:
        found, seconds = run(arguments.bundle, arguments.url)
    except GramError as error:
        print(f"{Path(__file__).name}: {error}", file=sys.stderr)
        return error.exit_code
    rows = measure_rows(found)
    if arguments.json:
        print(json.dumps({"measures": rows, "seconds": seconds}))
    else:
        print_evaluation(found, index=INDEX, out=None)
    return int(any(row["holds"] is False for row in rows))


if __name__ == "__main__":
    sys.exit(main())
