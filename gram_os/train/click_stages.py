"""The stages that need clicks: co-training (GRAM section 4) and co-alignment (section 5), as parts of a run."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from gram_os.arrays import FloatArray, IntArray
from gram_os.catalogue import Product
from gram_os.text.attribute import Side
from gram_os.text.code import MAX_CODES
from gram_os.text.dictionary import Tokens
from gram_os.text.own_values import field_texts
from gram_os.train.backbones.backbone import Backbone
from gram_os.train.lessons.clicks import Feedback, Pair
from gram_os.train.lessons.code_report import measure_drift
from gram_os.train.lessons.targets import Target, merge_targets
from gram_os.train.lessons.teach import Lesson, Lessons
from gram_os.train.loop.training_loop import LoopSettings, run_loop
from gram_os.train.materials import Materials, write_report
from gram_os.train.models.relevance_model import (
    RelevanceModel,
    auc,
    load_relevance_model,
    product_text,
    score,
    train_relevance_model,
)
from gram_os.train.objectives.alignment import (
    AlignedPair,
    AlignmentObjective,
    AlignmentSettings,
    alignment_batches,
    compare_codes,
)
from gram_os.train.objectives.cotraining import NewLessons, select_new_codes
from gram_os.train.pair.data import ClickedQueries

_NEW = 0.3  # share of a text's target that new codes make


def learn_relevance(materials: Materials, feedback: Feedback, held: Feedback | None) -> Path:
    """Train the relevance model on graded pairs; its AUC on held-out ones is in the stage's report."""
    settings = materials.recipe.relevance

    def make(folder: Path) -> None:
        model = train_relevance_model(*_columns(materials, feedback), settings, folder)
        report = {}
        if held is not None and len({pair.positive for pair in held.pairs}) == 2:
            queries, texts, _ = _columns(materials, held)
            report = {"auc": auc(score(model, queries, texts), [pair.positive for pair in held.pairs])}
        write_report(folder, report)

    inputs = {
        "settings": settings,
        "feedback": feedback.pairs,
        "held": held.pairs if held else None,
        "titles": [product.title for product in materials.products],
    }
    folder = materials.runner.run("relevance", inputs, make, by_all=True)
    materials.note("relevance", folder)
    return folder


def _columns(materials: Materials, feedback: Feedback) -> tuple[list[str], list[str], list[float]]:
    places = materials.catalogue.places
    products = [materials.products[places[pair.product]] for pair in feedback.pairs]
    return (
        [pair.query for pair in feedback.pairs],
        [_text(materials, product) for product in products],
        [pair.relevance for pair in feedback.pairs],
    )


def _text(materials: Materials, product: Product) -> str:
    values = [text for text, _ in field_texts(product, materials.mined.attributes)]
    return product_text(product.title, values)


def co_train(materials: Materials, before: Path, relevance: Path, feedback: Feedback, number: int) -> Path:
    """One round: both sides code, the relevance model filters, both sides learn what stays; the folder of the new model."""
    settings = materials.recipe.cotraining

    def make(folder: Path) -> None:
        backbone = materials.backbone(before)
        model = load_relevance_model(relevance)
        found, drift = _new_codes(materials, backbone, model, feedback)
        backbone.fine_tune(
            _with_new(materials.lessons(), found, materials.products),
            replace(materials.recipe.sft, **settings.schedule()),
            materials.journal(f"co-train-{number}", folder),
        )
        backbone.save(folder)
        after = _drift(materials, backbone, feedback)
        counts = {name: getattr(found, name) for name in ("candidates", "unheld", "kept", "scored")}
        write_report(folder, {**counts, "drift before": drift, "drift after": after})

    inputs = {
        "before": before,
        "relevance": relevance,
        "settings": settings,
        "sft": materials.recipe.sft,
        "feedback": feedback.pairs,
        "title_codes": materials.recipe.serving.title_codes,
        "round": number,
    }
    folder = materials.runner.run(f"co-train-{number}", inputs, make, by_all=True)
    materials.note(f"co-train-{number}", folder)
    return folder


def _new_codes(
    materials: Materials, backbone: Backbone, model: RelevanceModel, feedback: Feedback
) -> tuple[NewLessons, dict[str, object]]:
    asked, offered = _both_sides(materials, backbone, feedback)

    def relevant(queries: Sequence[str], places: Sequence[int]) -> FloatArray:
        return score(model, queries, [_text(materials, materials.products[place]) for place in places])

    ids = [product.id for product in materials.products]
    found = select_new_codes(asked, offered, ids, feedback, relevant, materials.recipe.cotraining.selection)
    return found, asdict(measure_drift(asked, offered))


def _drift(materials: Materials, backbone: Backbone, feedback: Feedback) -> dict[str, object]:
    return asdict(measure_drift(*_both_sides(materials, backbone, feedback)))


def _both_sides(
    materials: Materials, backbone: Backbone, feedback: Feedback
) -> tuple[dict[str, list[Tokens]], list[list[Tokens]]]:
    """Codes that the query side generates for clicked queries, and those of every product, its own and generated."""
    catalogue = materials.catalogue
    queries = ClickedQueries.gather(feedback, catalogue.places).texts
    asked = dict(zip(queries, backbone.generate(queries, Side.QUERY, MAX_CODES), strict=True))
    ids = backbone.ids([product.title for product in materials.products], Side.TITLE)
    none: list[IntArray] = [np.empty(0, np.int64)] * len(ids)  # a title's own are its codes however likely
    titles = backbone.code(ids, Side.TITLE, none, materials.recipe.serving.title_codes)
    combined = materials.mined.initial  # the combinations that a title's own attributes make
    known = len(materials.mined.dictionary.values)
    offered = []
    for place, (own, codes) in enumerate(zip(catalogue.own, combined, strict=True)):
        singles = np.union1d(own[own < known], titles.columns[titles.of(place)])
        offered.append([*((int(value),) for value in singles), *(code for code in codes if len(code) > 1)])
    return asked, offered


def _with_new(lessons: Lessons, found: NewLessons, products: Sequence[Product]) -> Lessons:
    named = {products[place].title: target for place, target in found.titles.items()}
    return replace(lessons, asked=_extended(lessons.asked, found.queries), titles=_extended(lessons.titles, named))


def _extended(lesson: Lesson, new: Mapping[str, Target]) -> Lesson:
    targets = [
        merge_targets(target, new[text], _NEW) if text in new else target
        for text, target in zip(lesson.texts, lesson.targets, strict=True)
    ]
    return Lesson(lesson.texts, targets)


def align(materials: Materials, before: Path, feedback: Feedback) -> Path:
    """Co-alignment of the model that a stage left in `before`; the folder of the aligned one."""
    settings = materials.recipe.alignment

    def make(folder: Path) -> None:
        backbone = materials.backbone(before)
        compared = aligned_pairs(materials, backbone, _clicked_pairs(feedback, settings))
        run_loop(
            AlignmentObjective(backbone.model, settings, count_values=backbone.count_values),
            backbone.groups(settings.encoder_rate, settings.decoder_rate),
            alignment_batches(compared, settings),
            LoopSettings(settings.steps, seed=settings.seed),
            journal=materials.journal("align", folder),
        )
        backbone.save(folder)

    inputs = {"before": before, "settings": settings, "feedback": feedback.pairs}
    return materials.runner.run("align", inputs, make, by_all=True)


def aligned_pairs(materials: Materials, backbone: Backbone, pairs: Sequence[Pair]) -> list[AlignedPair]:
    """Clicked pairs with the codes that their two sides generate, all in the backbone's own tokens."""
    places = materials.catalogue.places
    queries = sorted({pair.query for pair in pairs})
    products = sorted({places[pair.product] for pair in pairs})
    titles = [materials.products[place].title for place in products]
    ours = map(backbone.write, backbone.generate(queries, Side.QUERY, MAX_CODES))
    theirs = map(backbone.write, backbone.generate(titles, Side.TITLE, MAX_CODES))
    asked, offered = dict(zip(queries, ours, strict=True)), dict(zip(products, theirs, strict=True))
    query_ids = dict(zip(queries, backbone.ids(queries, Side.QUERY), strict=True))
    title_ids = dict(zip(products, backbone.ids(titles, Side.TITLE), strict=True))
    return [
        compare_codes(
            query_ids[pair.query], title_ids[place], asked[pair.query], offered[place],
            count_values=backbone.count_values,
        )
        for pair in pairs
        for place in [places[pair.product]]
    ]  # fmt: skip


def _clicked_pairs(feedback: Feedback, settings: AlignmentSettings) -> list[Pair]:
    """Clicked pairs, not more than the steps can read."""
    pairs = [pair for pair in feedback.pairs if pair.positive]
    rng = random.Random(settings.seed)  # noqa: S311
    return rng.sample(pairs, min(len(pairs), settings.steps * settings.batch))
