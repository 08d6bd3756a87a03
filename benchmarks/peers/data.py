"""The benchmark in a folder, and the fingerprint of everything that a ranking depends on.

Knows the names of the files and the scale of the judgments. docs/quality.md says where each data set comes from.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from benchmarks.peers.interface import Benchmark, Split
from gram_os.catalogue import read_judgments, read_products, read_queries
from gram_os.errors import InputError
from gram_os.relevance import JudgmentSet

# Home Depot's scale is 1..3, the mean of three raters. 2.33 is the lowest mean at which one rater said "perfect match"
# and no rater said "irrelevant".
RELEVANT, LOWEST_GRADE = 2.33, 1.0
FILES = ("products.jsonl.gz", "queries.{}.tsv", "judgments.{}.tsv")


def read_benchmark(
    folder: Path, work: Path, *, relevant: float = RELEVANT, lowest_grade: float = LOWEST_GRADE
) -> Benchmark:
    """Read the products, the train split and the dev split of a folder. Raises InputError for a missing file."""
    for name in (FILES[0], *(file.format(split) for file in FILES[1:] for split in ("train", "dev"))):
        if not (folder / name).is_file():
            raise InputError(f"{folder} holds no {name}; docs/quality.md says how to make the folder")

    def read_split(split: str) -> Split:
        queries = {query.id: query.text for query in read_queries(folder / FILES[1].format(split))}
        judged = read_judgments(folder / FILES[2].format(split))
        return Split(queries, JudgmentSet.build(judged, relevant=relevant, lowest_grade=lowest_grade))

    products = list(read_products(folder / FILES[0]))
    return Benchmark(products, read_split("train"), read_split("dev"), folder, work)


def fingerprint(bench: Benchmark, queries: Mapping[str, str], settings: str) -> str:
    """Return a hash of everything that a ranking depends on: catalogue, training data, queries, settings."""
    digest = hashlib.sha256(settings.encode())
    for product in bench.products:
        digest.update(json.dumps([product.id, product.title, product.fields], sort_keys=True).encode())
    for part in (bench.train.queries, bench.train.judgments.grades, queries):
        digest.update(json.dumps(part, sort_keys=True, default=dict).encode())
    digest.update(f"{bench.train.judgments.relevant_at}".encode())
    return digest.hexdigest()[:12]
