"""Opens what stages made, for the stages after them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gram_os.model.pair_weights import PairWeights
from gram_os.train.backbones.backbone import Backbone
from gram_os.train.backbones.causal import CausalBackbone
from gram_os.train.backbones.compact import CompactBackbone
from gram_os.train.lessons.teach import TrainingSet, read_texts
from gram_os.train.mining.catalogue import MinedCatalogue
from gram_os.train.mining.store import load_mined
from gram_os.train.models.causal import load_causal
from gram_os.train.models.encoder import load_encoder, load_tokenizer
from gram_os.train.models.tagger_checkpoint import load_checkpoint
from gram_os.train.pair.data import Catalogue
from gram_os.train.stage_inputs import StageInputs

#: What a stage reads that opens a backbone, and the setting that says which one.
BACKBONE = ("products", "tagger", "mined")
BACKBONE_SETTINGS = ("causal",)

CLICKED, SYNTHETIC, TITLES, VALUES = "clicked.jsonl.gz", "synthetic.jsonl.gz", "titles.jsonl.gz", "values.npy"
PAIR_WEIGHTS, CODED_TITLES = "pair.json", "titles.npz"


def open_mined(inputs: StageInputs) -> MinedCatalogue:
    """The mined catalogue."""
    folder = inputs.folder("mined")
    return inputs.remember("mined", folder, lambda: load_mined(folder, inputs.products))


def open_catalogue(inputs: StageInputs) -> Catalogue:
    """The catalogue's own values as columns."""
    mined = open_mined(inputs)
    return inputs.remember("columns", inputs.folder("mined"), lambda: Catalogue.read(mined))


def open_backbone(inputs: StageInputs, folder: Path) -> Backbone:
    """The recipe's backbone as a stage left it in `folder`."""
    return (open_causal if inputs.recipe.causal else open_compact)(inputs, folder)


def start_backbone(inputs: StageInputs) -> Backbone:
    """The recipe's backbone before its first stage: the compact one starts from the encoder and the lessons' values."""
    if inputs.recipe.causal:
        return open_causal(inputs, None)
    backbone = open_compact(inputs, None)
    backbone.initialise(load_encoder(inputs.find("encoder")), np.load(inputs.folder("lessons") / VALUES))
    return backbone


def open_compact(inputs: StageInputs, folder: Path | None) -> CompactBackbone:
    """The compact backbone as a stage left it in `folder`; without one, still to be initialised."""
    backbone = CompactBackbone(open_mined(inputs), load_checkpoint(inputs.folder("tagger")), load_tokenizer())
    if folder is not None:
        backbone.load(folder)
    return backbone


def open_causal(inputs: StageInputs, folder: Path | None) -> CausalBackbone:
    """The causal LM as a stage left it in `folder`; without one, as it was pretrained."""
    causal = inputs.recipe.causal
    assert causal is not None  # noqa: S101 (the callers look)
    backbone = CausalBackbone(open_mined(inputs), load_causal(causal.model, gguf_file=causal.gguf_file))
    if folder is not None:
        backbone.load(folder)
    return backbone


def open_training_set(inputs: StageInputs) -> TrainingSet:
    """The texts with their target codes, which the stage `codes` made."""
    folder = inputs.folder("lessons")
    return TrainingSet(*(read_texts(folder / name) for name in (CLICKED, SYNTHETIC, TITLES)))


def read_pair_weights(folder: Path) -> PairWeights:
    """The pair weights that the stage `pair` left in `folder`."""
    return PairWeights.model_validate_json((folder / PAIR_WEIGHTS).read_text(encoding="utf-8"))
