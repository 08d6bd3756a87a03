"""The stages before there is a model: tagger, tags, mined catalogue, and what both sides are taught at first."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from gram_os.text.attribute import Side
from gram_os.train.artifacts import CLICKED, SYNTHETIC, TITLES, VALUES, open_mined
from gram_os.train.lessons.code_report import report_codes
from gram_os.train.lessons.teach import add_click_codes, held_out, synthetic_queries, teach, write_texts
from gram_os.train.loop.processes import processes
from gram_os.train.mining.catalogue import mine
from gram_os.train.mining.store import read_spans, save_mined, write_spans
from gram_os.train.models.encoder import load_encoder, load_tokenizer
from gram_os.train.models.tagger import make_tagger
from gram_os.train.models.tagger_checkpoint import load_checkpoint, run_tagger_stage
from gram_os.train.objectives.matching import learn_matching
from gram_os.train.stage_inputs import StageInputs, write_report

log = logging.getLogger(__name__)

_SPANS = "spans.jsonl.gz"


def train_tagger(inputs: StageInputs, folder: Path) -> None:
    """The tagger that mining reads titles with."""
    run_tagger_stage(inputs.tagging_data, folder, inputs.recipe.tagger)


def tag_titles(inputs: StageInputs, folder: Path) -> None:
    """The typed spans of each title."""
    tagger = make_tagger(load_checkpoint(inputs.folder("tagger")), load_tokenizer())
    write_spans(tagger.tag(inputs.titles, Side.TITLE), folder / _SPANS)


def mine_catalogue(inputs: StageInputs, folder: Path) -> None:
    """Attribute fields, words, values, codes of the catalogue (GRAM section 2)."""
    recipe, spans = inputs.recipe.mining, read_spans(inputs.folder("tags") / _SPANS)
    mined = mine(
        inputs.products, spans, attributes=recipe.attributes, texts=recipe.texts,
        most_values=recipe.most_values, least_products=recipe.least_products,
    )  # fmt: skip
    fields = ", ".join(f"{name}={kind.value}" for name, kind in mined.attributes.items())
    log.info("%d values, %d codes, attributes %s", len(mined.dictionary.values), len(mined.codes), fields)
    save_mined(mined, folder)


def match_encoder(inputs: StageInputs, folder: Path) -> None:
    """The encoder, tuned so that a query is near the titles that it clicked."""
    encoder, clicks = load_encoder(), inputs.clicks
    assert clicks is not None  # noqa: S101 (the table: only with clicks)
    settings, journal = inputs.recipe.matching, inputs.journal(folder)
    learn_matching(encoder, load_tokenizer(), open_mined(inputs), clicks, settings, journal)
    if processes().is_main_process:
        encoder.save_pretrained(folder)


def make_lessons(inputs: StageInputs, folder: Path) -> None:
    """Texts of both sides with the codes that they should get, and the vectors that values start from.

    The titles of some products are kept for the calibration of the relevance filter.
    """
    mined, clicks, recipe = open_mined(inputs), inputs.clicks, inputs.recipe
    synthetic = synthetic_queries(mined, recipe.synthesis.queries, recipe.synthesis.seed)
    clicked = [] if clicks is None else list(clicks.by_query)
    encoder, tokenizer = load_encoder(inputs.find("encoder")), load_tokenizer()
    taught = teach(mined, clicked, synthetic, encoder, tokenizer, words=recipe.synthesis.words)
    np.save(folder / VALUES, taught.values)
    examples = taught.examples
    if clicks is not None:
        examples, codes = add_click_codes(mined, clicks, examples, recipe.initial_codes)
        write_report(folder, report_codes(codes.queries.values(), codes.titles.values()).as_dict())
    write_texts(examples.clicked, folder / CLICKED)
    write_texts(examples.synthetic, folder / SYNTHETIC)
    kept = [place for place in range(len(mined.products)) if place not in held_out(len(mined.products))]
    write_texts(examples.titles.select(kept), folder / TITLES)
