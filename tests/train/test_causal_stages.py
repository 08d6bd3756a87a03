"""A causal LM through all stages of a run, and what the stages ask of it, on a tiny random Llama.

Against plain reading of whole prefixes: the cache of `TorchCausalLm`, and the codes that the beams find.
"""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer, models, pre_tokenizers

from gram_os.arrays import IntArray
from gram_os.catalogue import Product
from gram_os.model.backbone import load_generator
from gram_os.model.pair_weights import GENERATED, OWN, UNKNOWN, PairWeights
from gram_os.text.attribute import AttributeType, Side
from gram_os.train.artifacts import CODED_TITLES, open_backbone
from gram_os.train.backbones.backbone import Backbone
from gram_os.train.backbones.causal import CausalBackbone
from gram_os.train.click_stages import compare_pairs
from gram_os.train.loop.curves import read_curves
from gram_os.train.mining.catalogue import MinedCatalogue, mine
from gram_os.train.models.causal import CausalSettings, CausalSource, next_logits
from gram_os.train.models.torch_causal_lm import TorchCausalLm
from gram_os.train.pair.coding import CodedTexts
from gram_os.train.pipeline import STAGES, Training, read_sources, run_training
from gram_os.train.recipe import Recipe, read_recipe
from tests.train.catalogues import PRODUCTS as FEW
from tests.train.catalogues import SPANS
from tests.train.clicked_catalogue import FEEDBACK, KINDS, PRODUCTS, TYPED, save_untrained_tagger
from tests.train.tiny_lm import make_source, make_tokenizer, save_source

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # the TorchScript exporter says that it is one
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:torch"),
]

TEXTS = ("black toner", "hp pavilion laptop in silver", "canon")
BFLOAT16 = 0.2  # what log-probabilities of random weights, which are large, may be off by


@pytest.fixture(scope="module")
def mined() -> MinedCatalogue:
    return mine(FEW, SPANS)


@pytest.fixture(scope="module")
def source(mined: MinedCatalogue) -> CausalSource:
    titles = [product.title for product in (*FEW, *PRODUCTS)]
    return make_source("llama", make_tokenizer([*titles, *mined.dictionary.values, "query: x; codes: y | z"]))


@pytest.fixture(scope="module")
def backbone(mined: MinedCatalogue, source: CausalSource) -> CausalBackbone:
    return CausalBackbone(mined, source)


def _log_probs(source: CausalSource, prompt: list[int], tokens: Iterable[int]) -> list[float]:
    """ln P of each token, the whole prefix read anew for each of them."""
    found, read = [], list(prompt)
    for token in tokens:
        with torch.inference_mode():
            found.append(float(next_logits(source.model, [read], 1)[0, 0].log_softmax(-1)[token]))
        read.append(token)
    return found


def test_backbone_is_what_stages_ask_for(backbone: CausalBackbone) -> None:
    asked: Backbone = backbone  # for mypy
    assert asked.groups(0.1, 0.2)[0].rate == 0.2
    trained = {id(p) for group in asked.groups(0.1, 0.2) for p in group.parameters}
    assert trained == {id(p) for p in backbone.source.model.parameters()}


def test_cache_equals_whole_prefixes_as_beams_come_and_go(source: CausalSource, backbone: CausalBackbone) -> None:
    model = TorchCausalLm(source)
    prompts = backbone.ids(TEXTS, Side.TITLE)
    first = model.start(TEXTS, Side.TITLE)
    three = model.advance(first.state, np.zeros((3, 3), np.int64), np.tile([40, 41, 42], (3, 1)))
    # Of three beams the last goes on twice, by different tokens, then one of these alone.
    two = model.advance(three.state, np.full((3, 2), 2), np.tile([50, 51], (3, 1)))
    one = model.advance(two.state, np.ones((3, 1), np.int64), np.full((3, 1), 60))
    again = model.advance(three.state, np.full((3, 2), 2), np.tile([50, 51], (3, 1)))
    assert [step.log_probs.shape[1] for step in (first, three, two, one)] == [1, 3, 2, 1]
    assert one.log_probs.dtype == np.float32
    for text, prompt in enumerate(prompts):
        for step, beam, tokens in (
            (first, 0, []),
            (three, 1, [41]),
            (two, 0, [42, 50]),
            (one, 0, [42, 51, 60]),
        ):
            with torch.inference_mode():
                expected = next_logits(source.model, [[*prompt, *tokens]], 1)[0, 0].log_softmax(-1)
            np.testing.assert_allclose(step.log_probs[text, beam], expected, atol=1e-4)
    np.testing.assert_array_equal(again.log_probs, two.log_probs)  # a state can be continued twice


def test_generated_codes_are_the_likeliest_in_the_dictionarys_tokens(
    backbone: CausalBackbone, mined: MinedCatalogue, source: CausalSource
) -> None:
    (prompt,) = backbone.ids(TEXTS[:1], Side.QUERY)
    (found,) = backbone.generate(TEXTS[:1], Side.QUERY, len(mined.codes))
    assert sorted(found) == sorted(mined.codes)
    scores = {
        code: sum(_log_probs(source, prompt, [*written, source.end]))
        for code in mined.codes
        for written in backbone.write([code])
    }
    near = [scores[code] for code in found]
    np.testing.assert_allclose(near, sorted(near, reverse=True), atol=BFLOAT16)


def test_own_and_generated_values_get_their_probabilities(
    backbone: CausalBackbone, mined: MinedCatalogue, source: CausalSource
) -> None:
    known = len(mined.dictionary.values)
    ids = backbone.ids(TEXTS, Side.TITLE)
    own: list[IntArray] = [np.array([0, 3, known + 2]), np.array([1]), np.empty(0, np.int64)]
    coded = backbone.code(ids, Side.TITLE, own, known)  # as wide as the dictionary: all values
    for text, prompt in enumerate(ids):
        columns, kinds = coded.columns[coded.of(text)], coded.kinds[coded.of(text)]
        assert columns[:known].tolist() == list(range(known))
        assert {int(c) for c, kind in zip(columns, kinds, strict=True) if kind == OWN} == {
            int(c) for c in own[text] if c < known
        }
        assert columns[kinds == UNKNOWN].tolist() == [c for c in own[text] if c >= known]
        expected = [sum(_log_probs(source, prompt, *backbone.write([(c,)]))) for c in range(known)]
        np.testing.assert_allclose(
            coded.log_ratios[coded.of(text)][:known], np.array(expected) - max(expected), atol=BFLOAT16
        )


def test_narrow_lists_hold_the_likeliest_values_and_empty_ones_none(
    backbone: CausalBackbone, mined: MinedCatalogue
) -> None:
    nothing: list[IntArray] = [np.empty(0, np.int64)] * 3
    ids = backbone.ids(TEXTS, Side.QUERY)
    three, all_of_them = (backbone.code(ids, Side.QUERY, nothing, width) for width in (3, 10_000))
    assert np.diff(three.bounds).tolist() == [3, 3, 3]
    assert np.diff(all_of_them.bounds).tolist() == [len(mined.dictionary.values)] * 3
    assert len(backbone.code(ids, Side.QUERY, nothing, 0).columns) == 0


def test_values_that_the_lm_cannot_write_are_unknown(mined: MinedCatalogue, source: CausalSource) -> None:
    words = {"[UNK]": 0, "a": 1, "|": 2, ":": 3, "black": 4, "cyan": 5}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    backbone = CausalBackbone(mined, CausalSource(source.model, tokenizer, 0))
    black, canon, xerox = (mined.dictionary.tokens[value] for value in ("black", "canon", "xerox"))
    # "canon" is the first of the unknown words and has their token to itself.
    assert backbone.write([(black,), (canon,), (xerox,), (black, xerox), (black, canon)]) == [
        (4,),
        (0,),
        (4, 2, 0),
    ]
    (ids,) = backbone.ids(["black"], Side.TITLE)
    coded = backbone.code([ids], Side.TITLE, [np.array([black, xerox])], 1)
    assert coded.kinds[coded.columns == black] == OWN
    assert coded.kinds[coded.columns == xerox] == UNKNOWN
    assert np.isfinite(coded.log_ratios).all()
    (every,) = backbone.generate(["black"], Side.TITLE, len(mined.codes))
    assert set(every) == {code for code in mined.codes if backbone.write([code])} != set(mined.codes)


@pytest.fixture(scope="module")
def recipe(source: CausalSource, tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """Twenty steps a stage, fast enough to change weights; the tiny recipe in all that is no backbone's."""
    folder = tmp_path_factory.mktemp("causal")
    save_source(source, folder / "model")
    save_untrained_tagger(_made(folder / "tagger"))
    path = folder / "recipe.toml"
    path.write_text(
        f"""
label = "tiny"
held_out = 0.2
tagger_checkpoint = '{folder / "tagger"}'
[causal]
model = '{folder / "model"}'
[mining]
most_values = 400
[synthesis]
queries = 60
words = false
[matching]
epochs = 0
[sft]
steps = 20
queries = 4
titles = 4
decoder_rate = 1e-3
[relevance]
epochs = 1
most_pairs = 32
[cotraining]
steps = 20
decoder_rate = 1e-3
[alignment]
steps = 20
batch = 2
codes = 2
decoder_rate = 1e-3
[pair]
share = 0.5
steps = 5
[serving]
title_codes = 5
title_values = 0
query_values = 0
""",
        encoding="utf-8",
    )
    return read_recipe(path)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_a_causal_lm_goes_through_all_stages(recipe: Recipe, source: CausalSource, tmp_path: Path) -> None:
    first = run_training(PRODUCTS, recipe, tmp_path, feedback=FEEDBACK)

    stages = ["sft", "co-train-1", "align"]
    assert list(first.seconds) == [
        "tags", "mine", "types", "codes", "sft", "relevance", *stages[1:], "coded-titles", "pair", "export",
    ]  # fmt: skip
    reports = cast("dict[str, dict[str, Any]]", first.reports)
    assert reports["co-train-1"]["candidates"] > 0
    assert set(reports["co-train-1"]["drift before"]) == set(reports["co-train-1"]["drift after"])
    assert reports["pair"]["queries"] > 0
    points = read_curves(tmp_path / "work" / "curves.csv")
    for stage in stages:
        assert len([point for point in points if (point.stage, point.name) == (stage, "loss")]) == 20
    weights = [source.model.state_dict()["model.layers.0.mlp.up_proj.weight"]]
    for stage in stages:
        (file,) = (tmp_path / "work").glob(f"{stage}-*/model.safetensors")
        weights.append(load_file(file)["model.layers.0.mlp.up_proj.weight"])
        assert not torch.equal(*weights[-2:]), stage
    (titles,) = (tmp_path / "work").glob(f"coded-titles-*/{CODED_TITLES}")
    assert (CodedTexts.load(titles).kinds == GENERATED).any()  # as wide as the beam, where no values follow it
    manifest = first.bundle.manifest
    assert (manifest.label, manifest.backbone, manifest.precision) == ("tiny", "causal-lm", "int8")
    assert 0 <= manifest.measures["held_out_R@300"] <= 1
    (coded,) = load_generator(tmp_path, device="cpu", threads=1).code_queries(["black toner cartridge"])
    assert {"black", "toner", "cartridge"} <= {str(scored.code) for scored in coded.weights if scored.own}
    assert any(not scored.own for scored in coded.weights)
    assert all(scored.probabilities is not None for scored in coded.weights)

    second = run_training(PRODUCTS, recipe, tmp_path, feedback=FEEDBACK)

    costs = json.loads((tmp_path / "work" / "costs.json").read_text())
    assert [cost["stage"] for cost in costs if not cost["cached"]] == ["export"]
    assert second.bundle.manifest.files == first.bundle.manifest.files
    training = Training(read_sources(PRODUCTS, recipe, FEEDBACK), recipe, tmp_path / "work")
    training.run(until="sft")
    (row,) = (row for row in STAGES if row.name == "align")
    backbone = open_backbone(training.inputs_of(row), training.results["model"])
    assert isinstance(backbone, CausalBackbone)
    clicked = [pair for pair in FEEDBACK.pairs if pair.positive][:20]
    written = set(backbone.write(backbone.mined.codes))
    names = [product.title for product in PRODUCTS]
    compared = compare_pairs(backbone, clicked, {product.id: n for n, product in enumerate(PRODUCTS)}, names)
    for pair, found in zip(clicked, compared, strict=True):
        assert [found.query] == backbone.ids([pair.query], Side.QUERY)
        assert [found.title] == backbone.ids([PRODUCTS[int(pair.product)].title], Side.TITLE)
        codes = {*found.shared, *found.unshared}
        assert codes <= written
        assert found.longest == max(map(backbone.count_values, codes)) < max(map(len, codes))


def test_without_clicks_there_is_sft_and_export(recipe: Recipe, source: CausalSource, tmp_path: Path) -> None:
    trained = run_training(TYPED, recipe, tmp_path)
    assert set(trained.seconds) == {"tags", "mine", "types", "codes", "sft", "export"}
    assert trained.bundle.manifest.pair == PairWeights()
    (coded,) = load_generator(tmp_path, device="cpu", threads=1).code_queries(["black toner"])
    assert any(not scored.own for scored in coded.weights)
    assert [kind.name for kind in trained.bundle.product_types.types] == sorted(KINDS)
    assert "type-heads.npz" not in trained.bundle.manifest.files  # names in the text tell its type
    (headset,) = load_generator(tmp_path, device="cpu", threads=1).code_batch(
        [Product("x", "hp headset for notebook", {})]
    )
    assert [kind.value for kind in headset.of_type(AttributeType.PRODUCT_TYPE)] == ["headset"]

    # The same folder with another model in it: what was learned before does not count for it.
    assert recipe.causal is not None
    other = shutil.copytree(recipe.causal.model, tmp_path / "model")
    moved = recipe.model_copy(update={"causal": CausalSettings(str(other))})
    for scale, cached in ((1.0, ["tags", "mine", "types", "codes", "sft"]), (0.5, ["tags", "mine", "types", "codes"])):
        with torch.no_grad():
            changed = copy.deepcopy(source)
            changed.model.lm_head.weight.mul_(scale)
        save_source(changed, other)
        run_training(TYPED, moved, tmp_path)
        costs = json.loads((tmp_path / "work" / "costs.json").read_text())
        assert [cost["stage"] for cost in costs if cost["cached"]] == cached
