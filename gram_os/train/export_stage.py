"""The last stage: the trained model, the mined catalogue and the pair weights become a bundle."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import scipy.sparse as sparse

from gram_os.model.backbone import load_generator
from gram_os.model.bundle import MANIFEST, Manifest, read_file_names, seal
from gram_os.model.pair_weights import PairWeights
from gram_os.model.trie import CodeTrie
from gram_os.reading.type_values import TypeValues
from gram_os.text.attribute import Side
from gram_os.text.product_types import NO_TYPES
from gram_os.train.artifacts import open_causal, open_compact, open_mined, read_pair_weights
from gram_os.train.calibration import calibrate
from gram_os.train.export.causal import compare_with_torch as compare_causal
from gram_os.train.export.causal import export_causal
from gram_os.train.export.compact import compare_with_torch as compare_compact
from gram_os.train.export.compact import export_compact
from gram_os.train.lessons.teach import held_out
from gram_os.train.loop.processes import processes
from gram_os.train.mining.catalogue import MinedCatalogue
from gram_os.train.models.annotation import read_marked
from gram_os.train.models.tagger_checkpoint import measure_tagger
from gram_os.train.stage_inputs import StageInputs, read_report
from gram_os.train.type_stages import LearnedTypes, open_heads, open_types

log = logging.getLogger(__name__)

# Products of a type that state a value, before generated codes with it agree with the type: a number, and a share.
_LEAST_STATING, _LEAST_STATED = 2, 0.01
_SAMPLE = 64  # texts of a side that show int8 how large the numbers between the layers become


def make_bundle(inputs: StageInputs, out: Path) -> None:
    """Write the bundle to the folder `out`, from the first process of a launcher."""
    if processes().is_main_process:
        (_export_causal if inputs.recipe.causal else _export_compact)(inputs, out)
        _calibrate(inputs, out)
    processes().wait_for_everyone()


def _calibrate(inputs: StageInputs, out: Path) -> None:
    """Write the thresholds of the relevance filter into the manifest."""
    generator, products = load_generator(out), open_mined(inputs).products
    titles = Counter(product.title for product in products)  # a title that is another product's too was taught
    places = [place for place in held_out(len(products)) if titles[products[place].title] == 1]
    thresholds = calibrate(generator, [products[place] for place in places])
    for kind, found in thresholds.items():
        log.info(
            "generated values of %s count from P %.4f: %.3f of %d are right", kind.value, *found.model_dump().values()
        )
    seal(out, generator.bundle.manifest.model_copy(update={"thresholds": thresholds}))


def _remove_bundle(out: Path) -> None:
    """Remove an earlier bundle's files: those of another backbone would count among the new one's."""
    for name in (*read_file_names(out), MANIFEST):
        (out / name).unlink(missing_ok=True)


def _export_compact(inputs: StageInputs, out: Path) -> None:
    backbone, mined, data = open_compact(inputs, inputs.folder("model")), open_mined(inputs), inputs.tagging_data
    f1 = measure_tagger(backbone.tagger, backbone.tokenizer, data)
    manifest = _manifest(inputs, {f"tagger_f1_{name}": value for name, value in f1.items()})
    titles = [product.title for product in mined.products]
    texts = [*titles, *mined.dictionary.values]
    types, heads = inputs.find("types"), inputs.find("type heads")
    learned = open_types(types) if types else None
    if learned is not None:
        texts += [name for kind in learned.vocabulary.types for name in (kind.name, *kind.synonyms)]
    texts += [text.text for path in data.glob("*/*.jsonl") for text in read_marked(path)]
    _remove_bundle(out)
    bundle = export_compact(
        backbone.model, backbone.tagger, backbone.tokenizer, out, manifest, texts=texts, dictionary=mined.dictionary,
        vocabulary=mined.vocabulary, normaliser=mined.normaliser, trie=CodeTrie.build(mined.codes),
        sample=_sample(mined), precision=inputs.recipe.precision,
        types=learned.vocabulary if learned else NO_TYPES, type_values=_type_values(mined, learned),
        heads=open_heads(heads) if heads else None,
    )  # fmt: skip
    _log_gap(compare_compact(backbone.model, bundle, backbone.tokenizer, titles[:64]))


def _export_causal(inputs: StageInputs, out: Path) -> None:
    backbone, mined = open_causal(inputs, inputs.folder("model")), open_mined(inputs)
    types = inputs.find("types")
    learned = open_types(types) if types else None
    backbone.source.model.cpu()
    manifest = _manifest(inputs, {})
    _remove_bundle(out)
    bundle = export_causal(
        backbone.source, out, manifest, dictionary=mined.dictionary, vocabulary=mined.vocabulary,
        normaliser=mined.normaliser, trie=backbone.codes_trie, sample=_sample(mined), precision=inputs.recipe.precision,
        types=learned.vocabulary if learned else NO_TYPES, type_values=_type_values(mined, learned),
    )  # fmt: skip
    _log_gap(compare_causal(backbone.source, bundle, [product.title for product in mined.products[:16]]))


def _type_values(mined: MinedCatalogue, learned: LearnedTypes | None) -> TypeValues | None:
    """Return the values that enough products of each type state."""
    if learned is None:
        return None
    count = len(learned.vocabulary)
    at = sparse.csr_matrix((np.ones(len(learned.types)), (learned.types, np.arange(len(learned.types)))),
                           (count, len(learned.types)))  # fmt: skip
    known = np.flatnonzero(mined.known >= 0)
    stated = (at @ mined.own[:, known]).tocsr()  # products of a type that state a value
    least = np.maximum(_LEAST_STATING, _LEAST_STATED * np.bincount(learned.types, minlength=count))
    rows = np.repeat(np.arange(count), np.diff(stated.indptr))
    kept = stated.data >= least[rows]
    pairs = np.stack([rows[kept], mined.known[known][stated.indices[kept]]])
    pairs = pairs[:, np.lexsort((pairs[1], pairs[0]))]
    offsets = np.searchsorted(pairs[0], np.arange(count + 1))
    return TypeValues(offsets.astype(np.int32), pairs[1].astype(np.int32))


def _manifest(inputs: StageInputs, measures: dict[str, float]) -> Manifest:
    """What the bundle says of itself before its export completes it."""
    recipe, mined, pair = inputs.recipe, open_mined(inputs), inputs.find("pair weights")
    report = read_report(pair) if pair else None
    held_out = report.get("held out", {}) if report else {}
    measures = {f"held_out_{name}": value for name, value in held_out.items()} | measures
    weights: PairWeights = read_pair_weights(pair) if pair else recipe.serving.pair
    return Manifest(
        label=recipe.label, backbone="causal-lm" if recipe.causal else "compact", precision=recipe.precision,
        attributes=dict(mined.attributes), texts=tuple(mined.texts),
        decimal_comma=mined.normaliser.decimal_comma, title_codes=recipe.serving.title_codes,
        title_values=recipe.serving.title_values, query_values=recipe.serving.query_values, pair=weights,
        lexical_weight=recipe.serving.lexical_weight, source=recipe.source,
        measures={name: round(value, 4) for name, value in measures.items()},
    )  # fmt: skip


def _sample(mined: MinedCatalogue) -> dict[Side, list[str]]:
    """Some titles, and values, which are what queries look like."""
    titles = [product.title for product in mined.products]
    return {Side.TITLE: _spread(titles), Side.QUERY: _spread(mined.dictionary.values)}


def _spread(texts: Sequence[str]) -> list[str]:
    return list(texts[:: max(1, len(texts) // _SAMPLE)])


def _log_gap(gap: float) -> None:
    log.info("ONNX against torch: largest difference of a log-probability %.4f", gap)
