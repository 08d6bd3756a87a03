"""The stages that need clicks: relevance model, co-training (GRAM section 4), co-alignment (5), pair scorer (6)."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from gram_os.arrays import FloatArray, IntArray
from gram_os.catalogue import Product
from gram_os.text.attribute import Side
from gram_os.text.code import MAX_CODES
from gram_os.text.dictionary import Tokens
from gram_os.text.own_values import field_texts
from gram_os.train.artifacts import (
    CODED_TITLES,
    PAIR_WEIGHTS,
    open_backbone,
    open_catalogue,
    open_mined,
    open_training_set,
)
from gram_os.train.backbones.backbone import Backbone
from gram_os.train.lessons.clicks import Feedback, Pair
from gram_os.train.lessons.code_report import measure_drift
from gram_os.train.lessons.targets import Target, merge_targets
from gram_os.train.lessons.teach import TrainingSet, TrainingTexts
from gram_os.train.loop.training_loop import LoopSettings, run_loop
from gram_os.train.mining.catalogue import MinedCatalogue
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
from gram_os.train.objectives.cotraining import NewTargets, select_new_codes
from gram_os.train.pair.coding import CodedTexts
from gram_os.train.pair.data import ClickedQueries, make_pair_data, measure_recall
from gram_os.train.pair.fit import fit_pair_weights
from gram_os.train.pair.shortlists import PairData
from gram_os.train.stage_inputs import StageInputs, write_report

log = logging.getLogger(__name__)

_NEW = 0.3  # share of a text's target that new codes make


def train_relevance(inputs: StageInputs, folder: Path) -> None:
    """The relevance model, on graded pairs. Its AUC on the clicks to measure is in the report."""
    clicks, held_out = _clicks(inputs), inputs.clicks_to_measure
    model = train_relevance_model(*_graded_pairs(inputs, clicks), inputs.recipe.relevance, folder)
    report = {}
    if held_out is not None and len({pair.positive for pair in held_out.pairs}) == 2:
        queries, texts, _ = _graded_pairs(inputs, held_out)
        report = {"auc": auc(score(model, queries, texts), [pair.positive for pair in held_out.pairs])}
    write_report(folder, report)


def co_train(inputs: StageInputs, folder: Path) -> None:
    """One round: both sides code, the relevance model filters, both sides learn what stays."""
    clicks = _clicks(inputs)
    backbone = open_backbone(inputs, inputs.folder("model"))
    codes = _both_sides(inputs, backbone, clicks)
    new = _new_codes(inputs, codes, clicks)
    examples = _add_codes(open_training_set(inputs), new, inputs.products)
    settings = replace(inputs.recipe.sft, **inputs.recipe.cotraining.schedule())
    backbone.fine_tune(examples, settings, inputs.journal(folder))
    backbone.save(folder)
    drift = {"drift before": asdict(measure_drift(*codes))}
    drift["drift after"] = asdict(measure_drift(*_both_sides(inputs, backbone, clicks)))
    counts = {name: getattr(new, name) for name in ("candidates", "unheld", "kept", "scored")}
    write_report(folder, {**counts, **drift})


def align(inputs: StageInputs, folder: Path) -> None:
    """Co-alignment of the two sides on clicked pairs."""
    settings, clicks = inputs.recipe.alignment, _clicks(inputs)
    backbone = open_backbone(inputs, inputs.folder("model"))
    pairs = _draw_pairs(clicks, settings)
    places = open_catalogue(inputs).places
    compared = compare_pairs(backbone, pairs, places, [product.title for product in inputs.products])
    run_loop(
        AlignmentObjective(backbone.model, settings, count_values=backbone.count_values),
        backbone.groups(settings.encoder_rate, settings.decoder_rate),
        alignment_batches(compared, settings),
        LoopSettings(settings.steps, seed=settings.seed),
        journal=inputs.journal(folder),
    )
    backbone.save(folder)


def fit_pair(inputs: StageInputs, folder: Path) -> None:
    """The pair scorer's weights. Recall on the clicks to measure is in the report."""
    settings, width = inputs.recipe.pair, inputs.recipe.serving.query_width
    catalogue, backbone = open_catalogue(inputs), open_backbone(inputs, inputs.folder("model"))
    titles = CodedTexts.load(inputs.folder("coded titles") / CODED_TITLES)

    def code(queries: ClickedQueries) -> PairData:
        return make_pair_data(catalogue, queries, backbone, titles, width=width)

    clicks, held_out = inputs.clicks_to_fit, inputs.clicks_to_measure
    assert clicks is not None  # noqa: S101 (the table: only with clicks)
    data = code(ClickedQueries.gather(clicks, catalogue.places).draw(settings.most_queries))
    fitted = fit_pair_weights(data, settings)
    (folder / PAIR_WEIGHTS).write_text(fitted.weights.model_dump_json(indent=1) + "\n", encoding="utf-8")
    report: dict[str, object] = {
        "queries": len(data.queries),
        "loss": {"before": fitted.before, "after": fitted.after},
        "weights": fitted.weights.model_dump(mode="json"),
    }
    if held_out is not None:
        measured = measure_recall(code(ClickedQueries.gather(held_out, catalogue.places)), fitted.weights)
        report["held out"] = measured
        if inputs.curves is not None:
            inputs.curves.write("pair", fitted.steps, {f"dev {name}": value for name, value in measured.items()})
        log.info("clicks to measure: %s", ", ".join(f"{name} {value:.4f}" for name, value in measured.items()))
    write_report(folder, report)


def _clicks(inputs: StageInputs) -> Feedback:
    clicks = inputs.clicks
    assert clicks is not None  # noqa: S101 (the table: only with clicks)
    return clicks


def _graded_pairs(inputs: StageInputs, feedback: Feedback) -> tuple[list[str], list[str], list[float]]:
    """Query, product text and relevance of each pair."""
    mined, places = open_mined(inputs), open_catalogue(inputs).places
    return (
        [pair.query for pair in feedback.pairs],
        [_text(mined, mined.products[places[pair.product]]) for pair in feedback.pairs],
        [pair.relevance for pair in feedback.pairs],
    )


def _text(mined: MinedCatalogue, product: Product) -> str:
    return product_text(product.title, [text for text, _ in field_texts(product, mined.attributes)])


def _new_codes(
    inputs: StageInputs, codes: tuple[Mapping[str, Sequence[Tokens]], Sequence[Sequence[Tokens]]], clicks: Feedback
) -> NewTargets:
    """What the relevance model lets through of the codes that the sides do not share yet."""
    mined, model = open_mined(inputs), load_relevance_model(inputs.folder("relevance model"))
    ids = [product.id for product in mined.products]
    return select_new_codes(*codes, ids, clicks, _scorer(mined, model), inputs.recipe.cotraining.selection)


def _scorer(mined: MinedCatalogue, model: RelevanceModel) -> Callable[[Sequence[str], Sequence[int]], FloatArray]:
    def relevance(queries: Sequence[str], places: Sequence[int]) -> FloatArray:
        return score(model, queries, [_text(mined, mined.products[place]) for place in places])

    return relevance


def _both_sides(
    inputs: StageInputs, backbone: Backbone, clicks: Feedback
) -> tuple[dict[str, list[Tokens]], list[list[Tokens]]]:
    """Codes that the query side generates for clicked queries, and those of every product, own and generated."""
    mined, catalogue = open_mined(inputs), open_catalogue(inputs)
    queries = ClickedQueries.gather(clicks, catalogue.places).texts
    query_codes = dict(zip(queries, backbone.generate(queries, Side.QUERY, MAX_CODES), strict=True))
    ids = backbone.ids([product.title for product in mined.products], Side.TITLE)
    none: list[IntArray] = [np.empty(0, np.int64)] * len(ids)  # a title's own values are its codes however likely
    titles = backbone.code(ids, Side.TITLE, none, inputs.recipe.serving.title_codes)
    known = len(mined.dictionary.values)
    title_codes = []
    for place, (own, combinations) in enumerate(zip(catalogue.own, mined.initial, strict=True)):
        singles = np.union1d(own[own < known], titles.columns[titles.of(place)])
        combined = [code for code in combinations if len(code) > 1]
        title_codes.append([*((int(value),) for value in singles), *combined])
    return query_codes, title_codes


def _add_codes(examples: TrainingSet, new: NewTargets, products: Sequence[Product]) -> TrainingSet:
    titles = {products[place].title: target for place, target in new.titles.items()}
    clicked = _merge(examples.clicked, new.queries)
    return replace(examples, clicked=clicked, titles=_merge(examples.titles, titles))


def _merge(examples: TrainingTexts, new: Mapping[str, Target]) -> TrainingTexts:
    targets = [
        merge_targets(target, new[text], _NEW) if text in new else target
        for text, target in zip(examples.texts, examples.targets, strict=True)
    ]
    return TrainingTexts(examples.texts, targets)


def compare_pairs(
    backbone: Backbone, pairs: Sequence[Pair], places: Mapping[str, int], titles: Sequence[str]
) -> list[AlignedPair]:
    """Clicked pairs with the codes that their two sides generate, all in the backbone's own tokens.

    places: product id -> its place among the titles.
    """
    queries = sorted({pair.query for pair in pairs})
    products = sorted({places[pair.product] for pair in pairs})
    texts = [titles[place] for place in products]
    of_queries = map(backbone.write, backbone.generate(queries, Side.QUERY, MAX_CODES))
    of_titles = map(backbone.write, backbone.generate(texts, Side.TITLE, MAX_CODES))
    query_codes = dict(zip(queries, of_queries, strict=True))
    title_codes = dict(zip(products, of_titles, strict=True))
    query_ids = dict(zip(queries, backbone.ids(queries, Side.QUERY), strict=True))
    title_ids = dict(zip(products, backbone.ids(texts, Side.TITLE), strict=True))
    return [
        compare_codes(
            query_ids[pair.query], title_ids[place], query_codes[pair.query], title_codes[place],
            count_values=backbone.count_values,
        )
        for pair in pairs
        for place in [places[pair.product]]
    ]  # fmt: skip


def _draw_pairs(feedback: Feedback, settings: AlignmentSettings) -> list[Pair]:
    """Clicked pairs, not more than the steps can read."""
    pairs = [pair for pair in feedback.pairs if pair.positive]
    rng = random.Random(settings.seed)  # noqa: S311
    return rng.sample(pairs, min(len(pairs), settings.steps * settings.batch))
