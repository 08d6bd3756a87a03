"""What eight bits cost: the codes of an int8 bundle compared with those of the same model in float32.

python benchmarks/precision.py --reference FP32_BUNDLE [--bundle BUNDLE] [--queries FILE.tsv] [--limit 1000] [--json]

The figure is the share of the reference's ten generated codes of a query that the bundle generates too. The codes of a
query alone are also compared with its codes in a batch. To write the reference from the same stages, run `gram-os
train` with `precision = "fp32"` in the recipe and the same `work` in the `--out` folder. `FILE.tsv` holds
`query_id<TAB>text`; the default is the sample's queries.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.measures import Measure, print_measures
from gram_os.catalogue import read_queries
from gram_os.data import sample_file
from gram_os.errors import GramError
from gram_os.model.backbone import load_generator
from gram_os.model.coded import CodedText
from gram_os.model.generator import Generator
from gram_os.text.code import Code

BATCH = 16
COMPARED_CODES = 10
OVERLAP_GOAL = 0.97


def measure(bundle: Generator, reference: Generator, texts: Sequence[str]) -> list[Measure]:
    """Measure the overlap with the reference, and whether a query's codes depend on the other queries of its batch."""
    alone = [_generated(bundle.code_queries([text])[0]) for text in texts]
    batches = [texts[start : start + BATCH] for start in range(0, len(texts), BATCH)]
    together = [_generated(coded) for batch in batches for coded in bundle.code_queries(batch)]
    exact = [_generated(coded) for batch in batches for coded in reference.code_queries(batch)]
    overlaps = [len(set(a) & set(b)) / max(1, len(b)) for a, b in zip(alone, exact, strict=True)]
    firsts = [a[:1] == b[:1] for a, b in zip(alone, exact, strict=True)]
    same = [set(a) == set(b) for a, b in zip(alone, together, strict=True)]
    return [
        Measure("overlap of generated codes with float32", float(np.mean(overlaps)), "ratio", OVERLAP_GOAL,
                at_least=True),
        Measure("queries with the same likeliest code", float(np.mean(firsts)), "ratio"),
        Measure("queries with the same codes alone and in a batch", float(np.mean(same)), "ratio", 1.0, at_least=True),
    ]  # fmt: skip


def _generated(coded: CodedText) -> list[Code]:
    return [scored.code for scored in coded.weights if not scored.own][:COMPARED_CODES]


def main() -> int:
    """Measure and print. Returns the exit code, which is 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--queries", type=Path)
    parser.add_argument("--limit", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    try:
        texts = [query.text for query in read_queries(options.queries or sample_file("queries.tsv"))]
        bundle, reference = load_generator(options.bundle), load_generator(options.reference)
        found = measure(bundle, reference, texts[: options.limit])
    except GramError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    print_measures("int8 beside float32", found, as_json=options.json)
    return int(any(m.holds is False for m in found))


if __name__ == "__main__":
    sys.exit(main())
