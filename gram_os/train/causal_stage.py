"""SFT and export of a causal LM as one call: texts with their codes in, a bundle out.

Takes the place of the compact backbone's training in a run over a catalogue; what is learned comes from the same
mining and the same targets.
"""

from __future__ import annotations

import logging
from pathlib import Path

from gram_os.attribute import Side
from gram_os.bundle import Bundle, Manifest
from gram_os.train.causal import CausalSettings, load_causal, make_examples, train_causal
from gram_os.train.export import Precision
from gram_os.train.export_causal import compare_with_torch, export_causal
from gram_os.train.lessons import Lesson
from gram_os.train.loop import Journal
from gram_os.train.mining import Mined

log = logging.getLogger(__name__)


def run_causal_stage(
    mined: Mined,
    queries: Lesson,
    titles: Lesson,
    settings: CausalSettings,
    manifest: Manifest,
    out: Path,
    *,
    precision: Precision = "int8",
    journal: Journal | None = None,
) -> Bundle:
    """Train `settings.model` on the lessons and write the bundle to `out`; a journal keeps its state and losses."""
    source = load_causal(settings.model, gguf_file=settings.gguf_file)
    dictionary = mined.dictionary
    train_causal(
        source,
        make_examples(source, dictionary, queries.texts, queries.targets, Side.QUERY),
        make_examples(source, dictionary, titles.texts, titles.targets, Side.TITLE),
        settings,
        journal=journal,
    )
    bundle = export_causal(
        source,
        out,
        manifest,
        dictionary=dictionary,
        vocabulary=mined.vocabulary,
        normaliser=mined.normaliser,
        codes=(dictionary.decode(tokens) for tokens in mined.codes),
        precision=precision,
    )
    gap = compare_with_torch(source, bundle, [product.title for product in mined.products[:16]])
    log.info("ONNX against torch: largest difference of a log-probability %.4f", gap)
    return bundle
