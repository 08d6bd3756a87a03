"""About how long a stage takes that was never run in this folder: for `gram-os train --dry-run`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gram_os.train.recipe import Recipe

_TEXTS_A_STEP = 96  # of SFT, by default: 64 queries and 32 titles
_FURTHER_QUERIES = 30_000  # beside the synthetic ones: known values and common words


@dataclass(frozen=True, slots=True)
class _Work:
    """What a stage's time grows with. queries: those with clicks that the model learns from."""

    recipe: Recipe
    products: int
    queries: int

    def sft_steps(self, steps: int) -> float:
        """Seconds of so many steps of SFT. A causal LM is taken to be five times slower than the compact backbone."""
        texts = self.recipe.sft.queries + self.recipe.sft.titles
        return 1.1 * steps * texts / _TEXTS_A_STEP * (5 if self.recipe.causal else 1)


def _relevance(work: _Work) -> float:
    settings = work.recipe.relevance
    return 0.015 * settings.epochs * min(settings.most_pairs, 10 * work.queries)


def _co_train(work: _Work) -> float:
    settings = work.recipe.cotraining
    coded = 2 * (0.004 * work.products + 0.02 * work.queries)  # both sides, before and after
    scored = min(settings.selection.most_scored, 40 * work.queries)
    return coded + 0.006 * scored + work.sft_steps(settings.steps)


# Seconds on two cores, rounded from trainings of 19,406 and 54,667 products (docs/benchmarks.md).
_SECONDS: Mapping[str, Callable[[_Work], float]] = {
    "tagger": lambda work: 120 * work.recipe.tagger.epochs,
    "tags": lambda work: 0.004 * work.products,
    "mine": lambda work: 0.001 * work.products,
    "types": lambda work: 60 + 0.004 * work.products + 0.0005 * (work.recipe.synthesis.queries + _FURTHER_QUERIES),
    "matching": lambda work: 2 * work.recipe.matching.epochs * work.queries / work.recipe.matching.batch,
    "codes": lambda work: 0.003 * work.products + 0.0015 * (work.recipe.synthesis.queries + _FURTHER_QUERIES),
    "sft": lambda work: work.sft_steps(work.recipe.sft.steps),
    "relevance": _relevance,
    "co-train": _co_train,
    "align": lambda work: 2.5 * work.recipe.alignment.steps,
    "coded-titles": lambda work: 0.003 * work.products,
    "pair": lambda _: 90,
    "tag-branch": lambda work: 50 * work.recipe.tag_branch.epochs,
    "type-heads": lambda work: 30 + 0.004 * work.products + 0.0005 * (work.recipe.synthesis.queries + _FURTHER_QUERIES),
    "export": lambda _: 25,
}


def estimate_seconds(stage: str, recipe: Recipe, *, products: int, queries: int) -> float:
    """Seconds of a stage on two cores, by its name in the table. Rounds of co-training take the same time."""
    name = "co-train" if stage.startswith("co-train-") else stage
    return _SECONDS[name](_Work(recipe, products, queries))
