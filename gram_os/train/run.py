"""A bundle out of a catalogue, with clicks or without: the stages of GRAM in one run.

    tagger -> tags -> mine -> codes -> SFT -> [co-training rounds] -> [co-alignment] -> pair scorer rounds -> export
                                              with clicks             with clicks

What costs more than seconds is kept under `out`/work by the contents of what goes into it, so a run that was killed goes
on where it was, and a run with one setting changed makes again what depends on it (stages.py). Losses and dev metrics
stand in work/curves.csv, costs in work/costs.json. Without clicks, synthetic queries can stand in for shoppers' ones in the pair
scorer's rounds, and the products that they were made of for clicked ones (`pair.synthetic`); it has not paid yet (docs/log.md).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from gram_os.bundle import Bundle, Manifest
from gram_os.catalogue import Product
from gram_os.clicks import Feedback
from gram_os.errors import InputError
from gram_os.pair_weights import PairWeights
from gram_os.train.causal import CausalSettings
from gram_os.train.causal_stage import run_causal_stage
from gram_os.train.checkpoint import BatchStream
from gram_os.train.click_stages import align, co_train, learn_relevance
from gram_os.train.compact_stage import CompactBackbone
from gram_os.train.curves import CurveWriter
from gram_os.train.loop import LoopSettings, RateGroup, run_loop
from gram_os.train.materials import Materials, write_report
from gram_os.train.pair import PairObjective, PairParameters, PairSide, pair_batches
from gram_os.train.pair_data import ClickedQueries, measure_recall, pair_data
from gram_os.train.recipe import Recipe
from gram_os.train.stages import processes

log = logging.getLogger(__name__)

LEAST_PRODUCTS = 50
_PAIR_FILE = "pair.json"


@dataclass(frozen=True, slots=True)
class Trained:
    """What a run made; seconds: of each stage in this run; reports: what the stages say of themselves, by stage."""

    bundle: Bundle
    seconds: dict[str, float]
    reports: dict[str, object]


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
    learned, held = feedback, None
    if feedback is not None:
        learned, dropped = feedback.restrict({product.id for product in products})
        if dropped:
            log.warning("%d pairs are about products that the catalogue lacks and are left out", dropped)
        if recipe.held_out:
            learned, held = learned.split(recipe.held_out)
    with ExitStack() as stack:
        first = processes().is_main_process  # under a launcher one process writes, and all train
        curves = stack.enter_context(CurveWriter(out / "work" / "curves.csv")) if first else None
        materials = Materials(products, recipe, out / "work", learned, curves)
        if recipe.causal is not None:
            bundle = _run_causal(materials, recipe.causal, out)
        else:
            bundle = _run_compact(materials, held, out)
    costs = {cost.stage: cost.seconds for cost in materials.runner.costs()}
    return Trained(bundle, materials.seconds | costs, materials.reports)


def _run_compact(materials: Materials, held: Feedback | None, out: Path) -> Bundle:
    folder = _fine_tune(materials)
    recipe = materials.recipe
    if materials.feedback is not None:
        if recipe.cotraining.rounds:
            relevance = learn_relevance(materials, materials.feedback, held)
        for number in range(1, recipe.cotraining.rounds + 1):
            folder = co_train(materials, folder, relevance, materials.feedback, number)
        if recipe.alignment.steps:
            folder = align(materials, folder, materials.feedback)
    weights = recipe.serving.pair
    learnable = materials.feedback is not None or recipe.pair.synthetic > 0
    for number in range(1, recipe.pair.rounds + 1 if learnable else 1):
        folder = _pair_round(materials, folder, held, number)
        weights = PairParameters.read(folder / _PAIR_FILE).values()
    with materials.lap("export"):
        if processes().is_main_process:
            materials.backbone(folder).export(out, _manifest(materials, weights), recipe.precision)
        processes().wait_for_everyone()
    return Bundle.load(out)


def _run_causal(materials: Materials, settings: CausalSettings, out: Path) -> Bundle:
    recipe = materials.recipe
    asked, made, titles = materials.lessons()
    with materials.lap("causal"):
        return run_causal_stage(
            materials.mined, asked.followed_by(made), titles, settings, _manifest(materials, recipe.serving.pair),
            out, precision=recipe.precision, journal=materials.journal("causal", materials.work / "causal"),
        )  # fmt: skip


def _fine_tune(materials: Materials) -> Path:
    recipe = materials.recipe

    def make(folder: Path) -> None:
        backbone = materials.backbone()
        materials.fine_tune(backbone, materials.lessons(), recipe.sft, materials.journal("sft", folder))
        backbone.save(folder)

    inputs = {"codes": materials.codes_folder, "settings": recipe.sft}
    return materials.runner.run("sft", inputs, make, by_all=True)


def _pair_round(materials: Materials, before: Path, held: Feedback | None, number: int) -> Path:
    recipe, feedback = materials.recipe, materials.feedback
    inputs = {
        "before": before,
        "settings": recipe.pair,
        "synthesis": recipe.synthesis,
        "title_codes": recipe.serving.title_codes,
        "feedback": feedback.pairs if feedback else None,
        "round": number,
    }
    folder = materials.runner.run(
        f"pair-{number}", inputs, lambda folder: _train_pair(materials, folder, before, held, number), by_all=True
    )  # fmt: skip
    materials.note(f"pair-{number}", folder)
    return folder


def _train_pair(materials: Materials, folder: Path, before: Path, held: Feedback | None, number: int) -> None:
    recipe, catalogue = materials.recipe, materials.catalogue
    settings, width = recipe.pair, recipe.serving.title_codes
    backbone = materials.backbone(before)
    known = before / _PAIR_FILE
    parameters = PairParameters.read(known) if known.is_file() else PairParameters()
    asked = ClickedQueries.gather(
        materials.feedback, materials.synthetic, catalogue.places, most_synthetic=settings.most_synthetic
    )
    titles = catalogue.code_titles(backbone, width)
    report = {"before": _measure(materials, held, backbone, titles, parameters.values())}
    data = pair_data(catalogue, asked, backbone, query_codes=settings.query_codes, titles=titles)
    objective = PairObjective(backbone.model, parameters, data, backbone.tokens, settings)
    learned = RateGroup(list(parameters.parameters()), settings.weight_rate, weight_decay=0.0)
    stage = f"pair-{number}"
    run_loop(
        objective,
        [*backbone.groups(settings.encoder_rate, settings.decoder_rate), learned],
        lambda seed: BatchStream(lambda rng: pair_batches(data, settings, rng), seed),
        LoopSettings(settings.steps, seed=settings.seed + number),
        journal=materials.journal(stage, folder),
    )
    if held is not None and number == settings.rounds:
        titles = catalogue.code_titles(backbone, width)
        report["after"] = _measure(materials, held, backbone, titles, parameters.values())
    for step, found in zip((0, settings.steps), report.values(), strict=False):
        if materials.curves is not None:
            materials.curves.write(stage, step, {f"dev {name}": value for name, value in found.items()})
    backbone.save(folder)
    parameters.write(folder / _PAIR_FILE)
    write_report(folder, report)


def _measure(
    materials: Materials,
    held: Feedback | None,
    backbone: CompactBackbone,
    titles: PairSide,
    weights: PairWeights,
) -> dict[str, float]:
    """Recall on the held-out queries; nothing without them."""
    if held is None:
        return {}
    asked = ClickedQueries.gather(held, (), materials.catalogue.places, most_synthetic=0)
    found = measure_recall(
        materials.catalogue, asked, backbone, titles, weights, query_codes=materials.recipe.pair.query_codes
    )
    log.info("held-out queries: %s", ", ".join(f"{name} {value:.4f}" for name, value in found.items()))
    return found


def _manifest(materials: Materials, weights: PairWeights) -> Manifest:
    """What the bundle says of itself before its export completes it."""
    recipe, mined = materials.recipe, materials.mined
    last = materials.reports.get(f"pair-{recipe.pair.rounds}")
    measures = last.get("after", {}) if isinstance(last, dict) else {}
    return Manifest(
        label=recipe.label, backbone="causal-lm" if recipe.causal else "compact", precision=recipe.precision,
        attributes=dict(mined.attributes), texts=tuple(mined.texts), title_codes=recipe.serving.title_codes,
        pair=weights, gram_weight=recipe.serving.gram_weight,
        measures={f"held_out_{name}": round(value, 4) for name, value in measures.items()}, source=recipe.source,
    )  # fmt: skip
