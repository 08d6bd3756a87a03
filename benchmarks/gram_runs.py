"""Runs of GRAM and of its ablations for benchmarks/quality.py, out of a recipe's stages, ranked in memory.

python benchmarks/gram_runs.py --data FOLDER --recipe FILE --work OUT/work --out RUNS
    [--only gram,gram_no_cotraining] [--seeds 0,1,2]

A run is written to `RUNS/NAME.run.gz`, and with a seed other than 0 to `RUNS/NAME.SEED.run.gz`. `OUT` is what
`gram-os train` wrote. Stages that are there are taken as they are. What an ablation changes is run again beside them.

Ranking is the pair score over the whole catalogue, with fp32 weights and codes of one value. `gram-os evaluate`
measures what the exported bundle finds in a cluster. docs/quality.md says how far the two are apart.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np

from benchmarks.peers.data import RELEVANT, read_benchmark
from benchmarks.peers.interface import DEPTH
from benchmarks.peers.run_cache import store_run
from gram_os.catalogue import read_judgments, read_queries
from gram_os.errors import GramError, InputError
from gram_os.model.pair_weights import GENERATED, PairWeights
from gram_os.relevance import Ranking, Run
from gram_os.train.artifacts import CODED_TITLES, open_backbone, open_catalogue, open_mined, read_pair_weights
from gram_os.train.lessons.clicks import feedback_from_judgments
from gram_os.train.lessons.sparse_rows import best_places
from gram_os.train.pair.coding import CodedTexts, Columns, score_products
from gram_os.train.pipeline import STAGES, Training, read_sources
from gram_os.train.recipe import Recipe, read_recipe

Change = Callable[[Recipe], Recipe]

EXPANSION_VALUES = 20  # of a title, the likeliest ones
_PAIR = next(stage for stage in STAGES if stage.name == "pair")  # what ranks reads what the pair scorer's fit reads
UNFITTED = "gram_no_pair_fit"  # the full model with the pair scorer as it is before anything was fitted


def _without_cotraining(recipe: Recipe) -> Recipe:
    return recipe.model_copy(update={"cotraining": recipe.cotraining.model_copy(update={"rounds": 0})})


def _without_alignment(recipe: Recipe) -> Recipe:
    return recipe.model_copy(update={"alignment": replace(recipe.alignment, steps=0)})


VARIANTS: Mapping[str, Change] = {
    "gram": lambda recipe: recipe,
    UNFITTED: lambda recipe: recipe,
    "gram_margin_loss": lambda recipe: recipe.model_copy(update={"pair": replace(recipe.pair, loss="margin")}),
    "gram_no_cotraining": _without_cotraining,
    "gram_no_cotraining_no_alignment": lambda recipe: _without_alignment(_without_cotraining(recipe)),
    "gram_no_transfer": lambda recipe: recipe.model_copy(
        update={"initial_codes": replace(recipe.initial_codes, transfer=False)}
    ),
    "gram_no_matching": lambda recipe: recipe.model_copy(update={"matching": replace(recipe.matching, epochs=0)}),
}


def with_seed(recipe: Recipe, seed: int) -> Recipe:
    """The recipe with one seed for all that it draws.

    The relevance model keeps its seed: its training costs most, and it only filters.
    """
    cotraining = recipe.cotraining
    return recipe.model_copy(
        update={
            "synthesis": recipe.synthesis.model_copy(update={"seed": seed}),
            "matching": replace(recipe.matching, seed=seed),
            "sft": replace(recipe.sft, seed=seed),
            "cotraining": cotraining.model_copy(update={"selection": replace(cotraining.selection, seed=seed)}),
            "alignment": replace(recipe.alignment, seed=seed),
        }
    )


def rank_queries(training: Training, weights: PairWeights, texts: Mapping[str, str]) -> Run:
    """The best products of each query (id -> text) by the pair score over all products, with their scores."""
    inputs = training.inputs_of(_PAIR)
    catalogue, backbone = open_catalogue(inputs), open_backbone(inputs, inputs.folder("model"))
    titles = CodedTexts.load(inputs.folder("coded titles") / CODED_TITLES)
    queries = catalogue.code_queries(backbone, list(texts.values()), inputs.recipe.serving.query_width)
    scores = score_products(queries, titles, weights, Columns.of(catalogue.columns))
    ids = [product.id for product in inputs.products]
    rankings = {}
    for query, row in zip(texts, scores, strict=True):
        places = best_places(row, DEPTH)
        rankings[query] = Ranking(tuple(ids[place] for place in places), tuple(map(float, row[places])))
    return Run("gram", rankings)


def write_expansion(training: Training, path: Path) -> None:
    """Write the likeliest generated values of each title, the extra text of `bm25_expanded`."""
    inputs = training.inputs_of(_PAIR)
    names = open_mined(inputs).dictionary.values
    titles = CodedTexts.load(inputs.folder("coded titles") / CODED_TITLES)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as stream:
        for place, product in enumerate(inputs.products):
            codes = titles.of(place)
            generated = np.flatnonzero(titles.kinds[codes] == GENERATED)
            best = generated[np.argsort(-titles.log_ratios[codes][generated], kind="stable")][:EXPANSION_VALUES]
            text = [names[column] for column in titles.columns[codes][best]]
            stream.write(json.dumps({"id": product.id, "text": text}) + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the runs that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with products, queries and judgments")
    parser.add_argument("--recipe", type=Path, required=True, help="the recipe that the stages were made by")
    parser.add_argument("--work", type=Path, required=True, help="where the stages lie: OUT/work of the training")
    parser.add_argument("--out", type=Path, required=True, help="folder for NAME.run.gz")
    parser.add_argument("--only", default=",".join(VARIANTS), help="variants, separated by commas")
    parser.add_argument("--seeds", default="0", help="separated by commas (default 0)")
    parser.add_argument(
        "--expansion", type=Path, help="write the titles' generated values there too, for bm25_expanded"
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(format="%(asctime)s %(message)s", stream=sys.stderr, level=logging.INFO)
    try:
        _make_runs(options)
    except GramError as error:
        print(f"{Path(__file__).name}: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _make_runs(options: argparse.Namespace) -> None:
    recipe = read_recipe(options.recipe)
    bench = read_benchmark(options.data, options.work)
    feedback = feedback_from_judgments(  # as `gram-os train` reads it, so that the stages' keys are the same
        read_queries(options.data / "queries.train.tsv"),
        read_judgments(options.data / "judgments.train.tsv"),
        RELEVANT,
    )
    names = options.only.split(",")
    if unknown := [name for name in names if name not in VARIANTS]:
        raise InputError(f"there is no variant '{unknown[0]}'; there are: {', '.join(VARIANTS)}")
    for seed, name in product(map(int, options.seeds.split(",")), names):
        changed = with_seed(VARIANTS[name](recipe), seed)
        if not changed.pair.share:
            raise InputError("the recipe fits no pair scorer (pair.share is 0), so no title's codes are kept")
        training = Training(read_sources(bench.products, changed, feedback), changed, options.work)
        training.run(until="pair")
        if name == "gram" and not seed and options.expansion:
            write_expansion(training, options.expansion)
        weights = PairWeights() if name == UNFITTED else read_pair_weights(training.results["pair weights"])
        store_run(
            rank_queries(training, weights, bench.dev.queries),
            options.out / (f"{name}.{seed}.run.gz" if seed else f"{name}.run.gz"),
        )


if __name__ == "__main__":
    sys.exit(main())
