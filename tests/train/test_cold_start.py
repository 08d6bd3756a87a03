"""The whole cold start on a small catalogue: what comes out is a bundle that codes as torch does.

The weights are MiniLM's with a tag head nobody trained and a few steps of SFT: this is about the road, not the quality.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gram_os.backbone import load_generator
from gram_os.catalogue import Product
from gram_os.errors import InputError
from gram_os.train.cold_start import run_cold_start
from gram_os.train.encoder import load_encoder, load_tokenizer
from gram_os.train.export import prune_tokenizer, used_pieces
from gram_os.train.recipe import Recipe, ServingRecipe, SynthesisRecipe
from gram_os.train.sft import SftSettings
from gram_os.train.tagger import TagHead, TagModel
from gram_os.train.tagger_stage import save_checkpoint

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # the TorchScript exporter says that it is one
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:torch"),
]

KINDS = ["toner cartridge", "ink cartridge", "notebook", "usb cable", "headset", "webcam"]
BRANDS = ["xerox", "hp", "canon", "brother"]
COLOURS = ["black", "cyan", "magenta", "yellow"]
PRODUCTS = [
    Product(
        str(n),
        f"{BRANDS[n % 4]} {KINDS[n % 6]} {COLOURS[n // 6 % 4]} model{n // 24}",
        {"brand": BRANDS[n % 4], "colour": COLOURS[n // 6 % 4]},
    )
    for n in range(96)
]


def _recipe(precision: str) -> Recipe:
    return Recipe.model_validate(
        {
            "label": "t1",
            "precision": precision,
            "synthesis": SynthesisRecipe(queries=80, words=False),
            "sft": SftSettings(steps=3, queries=8, titles=8),
            "serving": ServingRecipe(title_codes=5),
        }
    )


@pytest.fixture(scope="module")
def tagger_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stage 1's result, but for the training."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("tagger")
    save_checkpoint(TagModel(load_encoder(), TagHead()), folder)
    return folder


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-3), ("int8", 0.5)])
def test_bundle_codes_as_torch_does(
    precision: str,
    tolerance: float,
    tagger_checkpoint: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "tagger").symlink_to(tagger_checkpoint)
    caplog.set_level("INFO", "gram_os")

    trained = run_cold_start(PRODUCTS, _recipe(precision), tmp_path)

    (gap,) = (record.args for record in caplog.records if "largest difference" in record.message)
    assert isinstance(gap, tuple)
    assert 0 < float(str(gap[0])) < tolerance  # of a natural log-probability, over 64 titles and all values
    assert trained.bundle.manifest.attributes.keys() == {"brand", "colour"}
    generator = load_generator(tmp_path)
    codes = generator.code_queries(["black toner cartridges"])[0]
    assert [str(c.code) for c in codes if c.own] == ["black", "toner", "cartridge"]
    generated = [c for c in codes if not c.own]
    assert generated
    encoded = [generator.bundle.dictionary.encode(c.code) for c in generated]
    assert all(tokens in generator.bundle.trie for tokens in encoded if tokens is not None)
    assert set(trained.seconds) == {"tagger", "tag titles", "mine", "codes", "sft", "export"}


def test_too_few_products_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="10 products are too few"):
        run_cold_start(PRODUCTS[:10], _recipe("fp32"), tmp_path)


def test_pruned_tokenizer_writes_kept_texts_alike() -> None:
    whole = load_tokenizer()
    texts = ["Xerox 006R90321 toner cartridge", "größe 17-inch"]
    kept = used_pieces(whole, texts, common=200)
    pruned = prune_tokenizer(whole, kept)
    assert len(kept) < 6000
    for text in texts:
        assert pruned.encode(text).tokens == whole.encode(text).tokens
        assert [kept[i] for i in pruned.encode(text).ids] == whole.encode(text).ids
