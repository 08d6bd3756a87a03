"""A bundle out of a catalogue, with clicks or without: the stages of GRAM in one run.

    tagger -> tags -> mine -> [matching] -> codes -> SFT -> [co-training rounds -> co-alignment -> coded titles -> pair scorer]
    -> tag branch -> export   with clicks                   with clicks

All stages are the same for the compact backbone and for a causal LM (`Backbone`); the recipe says which one is trained. The
tag branch alone is the compact one's: a causal LM's bundle tags nothing.
What costs more than seconds is kept under `out`/work by the contents of what goes into it, so a run that was killed goes
on where it was, and a run with one setting changed makes again what depends on it (stages.py). Losses and dev metrics
stand in work/curves.csv, costs in work/costs.json. The clicked queries are parted by a hash of their words: `held_out` of them
measure and nothing learns from them, `pair.share` of the others fit the pair scorer, all others teach the model.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from gram_os.catalogue import Product
from gram_os.data import tagging_data
from gram_os.errors import InputError
from gram_os.model.bundle import Bundle, Manifest
from gram_os.model.pair_weights import PairWeights
from gram_os.train.click_stages import align, co_train, learn_relevance
from gram_os.train.lessons.clicks import Feedback
from gram_os.train.loop.curves import CurveWriter
from gram_os.train.loop.processes import processes
from gram_os.train.materials import Materials, write_report
from gram_os.train.pair.coding import CodedTexts
from gram_os.train.pair.data import ClickedQueries, measure_recall, pair_data
from gram_os.train.pair.fit import fit_pair_weights
from gram_os.train.pair.shortlists import PairData
from gram_os.train.recipe import Recipe

log = logging.getLogger(__name__)

LEAST_PRODUCTS = 50
_PAIR_FILE = "pair.json"
TITLES_FILE = "titles.npz"  # the catalogue's codes, which the pair scorer is fitted on
_PAIR_SPLIT = 1  # another draw than the one of the held-out queries


@dataclass(frozen=True, slots=True)
class Trained:
    """What a run made; seconds: of each stage in this run; reports: what the stages say of themselves, by stage."""

    bundle: Bundle
    seconds: dict[str, float]
    reports: dict[str, object]


@dataclass(frozen=True, slots=True)
class Portions:
    """What clicks are used for: to teach the model, to fit the pair scorer, to measure; queries are in one of them."""

    learned: Feedback | None = None
    scored: Feedback | None = None
    held: Feedback | None = None

    @classmethod
    def part(cls, feedback: Feedback, products: Sequence[Product], recipe: Recipe) -> Portions:
        """Part them as the recipe says; InputError for feedback on other products."""
        learned, dropped = feedback.restrict({product.id for product in products})
        if dropped:
            log.warning("%d pairs are about products that the catalogue lacks and are left out", dropped)
        held = scored = None
        if recipe.held_out:
            learned, held = learned.split(recipe.held_out)
        if recipe.pair.share:
            learned, scored = learned.split(recipe.pair.share, seed=_PAIR_SPLIT)
        return cls(learned, scored, held)


def run_training(
    products: Sequence[Product], recipe: Recipe, out: Path, *, feedback: Feedback | None = None
) -> Trained:
    """Train on `products` by `recipe`, write the bundle to `out`.

    Raises InputError for a catalogue too small to learn from, and for feedback on other products.
    """
    if len(products) < LEAST_PRODUCTS:
        raise InputError(
            f"{len(products)} products are too few to learn from; give a catalogue of at least {LEAST_PRODUCTS}"
        )
    portions = Portions() if feedback is None else Portions.part(feedback, products, recipe)
    with ExitStack() as stack:
        first = processes().is_main_process  # under a launcher one process writes, and all train
        curves = stack.enter_context(CurveWriter(out / "work" / "curves.csv")) if first else None
        materials = Materials(products, recipe, out / "work", portions.learned, curves)
        learned = learn(materials, portions)
        model = learned.model if recipe.causal else _learn_tags(materials, learned.model)
        with materials.lap("export"):
            if first:
                manifest = _manifest(materials, learned.weights)
                materials.backbone(model).export(out, manifest, recipe.precision)
            processes().wait_for_everyone()
        bundle = Bundle.load(out)
    costs = {cost.stage: cost.seconds for cost in materials.runner.costs()}
    return Trained(bundle, materials.seconds | costs, materials.reports)


@dataclass(frozen=True, slots=True)
class Learned:
    """Folders of the last stage that changed the model and of the titles that it coded (None without clicks), and the pair's weights."""

    model: Path
    titles: Path | None
    weights: PairWeights


def learn(materials: Materials, portions: Portions) -> Learned:
    """All stages that codes and their weights come from."""
    recipe, learned = materials.recipe, portions.learned
    folder = _fine_tune(materials)
    if learned is not None:
        if recipe.cotraining.rounds:
            relevance = learn_relevance(materials, learned, portions.held)
        for number in range(1, recipe.cotraining.rounds + 1):
            folder = co_train(materials, folder, relevance, learned, number)
        if recipe.alignment.steps:
            folder = align(materials, folder, learned)
    if portions.scored is None:
        return Learned(folder, None, recipe.serving.pair)
    coded = _code_titles(materials, folder)
    return Learned(folder, coded, _fit_pair(materials, folder, coded, portions.scored, portions.held))


def _fine_tune(materials: Materials) -> Path:
    recipe = materials.recipe

    def make(folder: Path) -> None:
        backbone = materials.backbone()
        backbone.fine_tune(materials.lessons(), recipe.sft, materials.journal("sft", folder))
        backbone.save(folder)

    inputs: dict[str, object] = {"codes": materials.codes_folder, "settings": recipe.sft}
    if recipe.causal is not None:
        inputs["causal"] = recipe.causal.origin()
    return materials.runner.run("sft", inputs, make, by_all=True)


def _learn_tags(materials: Materials, before: Path) -> Path:
    """The model that a stage left in `before`, with its tagger."""
    recipe = materials.recipe.tag_branch

    def make(folder: Path) -> None:
        backbone = materials.compact(before)
        backbone.learn_tags(recipe)
        backbone.save(folder)

    inputs = {"before": before, "data": tagging_data(), "settings": recipe}
    return materials.runner.run("tag-branch", inputs, make, by_all=True)


def _code_titles(materials: Materials, before: Path) -> Path:
    """The catalogue's codes under the model that a stage left in `before`."""
    width = materials.recipe.serving.title_width

    def make(folder: Path) -> None:
        titles = materials.catalogue.code_titles(materials.backbone(before), width)
        titles.save(folder / TITLES_FILE)

    return materials.runner.run("coded-titles", {"before": before, "width": width}, make)


def _fit_pair(materials: Materials, before: Path, coded: Path, scored: Feedback, held: Feedback | None) -> PairWeights:
    """Fit the pair scorer to the model that a stage left in `before`, and measure both on the held-out queries."""
    recipe, width = materials.recipe, materials.recipe.serving.query_width

    def make(folder: Path) -> None:
        backbone, catalogue = materials.backbone(before), materials.catalogue
        titles = CodedTexts.load(coded / TITLES_FILE)

        def asked(feedback: Feedback) -> ClickedQueries:
            return ClickedQueries.gather(feedback, catalogue.places)

        def code(queries: ClickedQueries) -> PairData:
            return pair_data(catalogue, queries, backbone, titles, width=width)

        data = code(asked(scored).draw(recipe.pair.most_queries))
        fitted = fit_pair_weights(data, recipe.pair)
        (folder / _PAIR_FILE).write_text(fitted.weights.model_dump_json(indent=1) + "\n", encoding="utf-8")
        report: dict[str, object] = {
            "queries": len(data.queries),
            "loss": {"before": fitted.before, "after": fitted.after},
            "weights": fitted.weights.model_dump(mode="json"),
        }
        if held is not None:
            measured = measure_recall(code(asked(held)), fitted.weights)
            report["held out"] = measured
            if materials.curves is not None:
                materials.curves.write("pair", fitted.steps, {f"dev {k}": v for k, v in measured.items()})
            log.info("held-out queries: %s", ", ".join(f"{k} {v:.4f}" for k, v in measured.items()))
        write_report(folder, report)

    inputs = {
        "before": before,
        "titles": coded,
        "settings": recipe.pair,
        "width": width,
        "feedback": scored.pairs,
        "held": held.pairs if held else None,
    }
    folder = materials.runner.run("pair", inputs, make)
    materials.note("pair", folder)
    return PairWeights.model_validate_json((folder / _PAIR_FILE).read_text(encoding="utf-8"))


def _manifest(materials: Materials, weights: PairWeights) -> Manifest:
    """What the bundle says of itself before its export completes it."""
    recipe, mined = materials.recipe, materials.mined
    report = materials.reports.get("pair")
    measures = report.get("held out", {}) if isinstance(report, dict) else {}
    return Manifest(
        label=recipe.label, backbone="causal-lm" if recipe.causal else "compact", precision=recipe.precision,
        attributes=dict(mined.attributes), texts=tuple(mined.texts), title_codes=recipe.serving.title_codes,
        title_values=recipe.serving.title_values, query_values=recipe.serving.query_values, pair=weights,
        gram_weight=recipe.serving.gram_weight,
        measures={f"held_out_{name}": round(value, 4) for name, value in measures.items()}, source=recipe.source,
    )  # fmt: skip
