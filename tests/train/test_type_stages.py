"""The stage `types` on small catalogues: what it leaves, also where there are no types, and where somebody edits it."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from gram_os.catalogue import Product
from gram_os.errors import InputError
from gram_os.model.backbone import load_generator
from gram_os.model.bundle import TYPE_VALUES, TYPES
from gram_os.text.attribute import AttributeType
from gram_os.train.pipeline import Training, read_sources, run_training
from gram_os.train.recipe import Recipe, TypesRecipe, read_recipe
from gram_os.train.type_stages import open_types
from tests.train.clicked_catalogue import KINDS, PRODUCTS, TYPED, save_untrained_tagger

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # the TorchScript exporter says that it is one
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:torch"),
]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    tagger = save_untrained_tagger(tmp_path_factory.mktemp("tagger"))
    tiny = read_recipe(Path("models/recipes/tiny.toml"))
    return tiny.model_copy(update={"tagger_checkpoint": tagger})


def test_a_category_field_gives_a_bundle_its_types_and_its_products_theirs(recipe: Recipe, tmp_path: Path) -> None:
    bundle = run_training(TYPED, recipe, tmp_path).bundle
    assert [kind.name for kind in bundle.product_types.types] == sorted(KINDS)
    assert [kind.products for kind in bundle.product_types.types] == [16] * 6
    assert bundle.type_values is not None
    token = bundle.dictionary.tokens
    for place, kind in enumerate(bundle.product_types.types):
        assert bundle.type_values.agree([token["black"]], {place: 1.0}) == 1  # each is sold in each colour
        words = [token.get(bundle.normaliser.value(word)) for word in kind.name.split()]
        agreeing = [at for at in range(len(KINDS)) if bundle.type_values.agree(words, {at: 1.0})]
        assert agreeing == [place]
    coded = load_generator(tmp_path).code_batch(TYPED[:6])
    found = [next(text.of_type(AttributeType.PRODUCT_TYPE)).value for text in coded]
    assert found == KINDS

    # An edited table reaches the next export, and no other stage.
    (table,) = (tmp_path / "work").glob(f"types-*/{TYPES}")
    table.write_text(table.read_text().replace("headset\t16\t\t", "headset\t16\t\tHead-phones"), encoding="utf-8")
    edited = run_training(TYPED, recipe, tmp_path).bundle
    costs = json.loads((tmp_path / "work" / "costs.json").read_text())
    assert [cost["stage"] for cost in costs if not cost["cached"]] == ["export"]
    (headset,) = edited.product_types.find(edited.normaliser.value("head-phone"))
    assert edited.product_types.types[headset].name == "headset"
    (query,) = load_generator(tmp_path).code_queries(["head-phones"])
    assert next(query.of_type(AttributeType.PRODUCT_TYPE)).value == "headset"

    table.write_text("\n".join(table.read_text().splitlines()[:-1]), encoding="utf-8")
    with pytest.raises(InputError, match=r"product_types\.tsv has 5 types, and the training found 6; change names"):
        open_types(table.parent)


def test_a_catalogue_without_types_trains_and_is_exported(
    recipe: Recipe, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    silent = [Product(p.id, f"Okapi K{n // 3}x zebu", {}) for n, p in enumerate(PRODUCTS)]
    trained = run_training(silent, recipe, tmp_path)
    assert trained.bundle.type_values is None
    assert not {TYPES, TYPE_VALUES, "type-heads.npz"} & trained.bundle.manifest.files.keys()
    assert len(trained.bundle.product_types) == 0
    warnings = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert sum("no product types were found" in message for message in warnings) == 1
    (query,) = load_generator(tmp_path).code_queries(["okapi"])
    assert query.weights
    assert not any(str(scored.code).startswith("product_type=") for scored in query.weights)


def test_a_taxonomy_and_a_thesaurus_that_are_not_there_are_refused(recipe: Recipe, tmp_path: Path) -> None:
    for name in ("taxonomy", "thesaurus"):
        absent = recipe.model_copy(update={"types": TypesRecipe(**{name: tmp_path / name})})
        with pytest.raises(InputError, match=f"{name} does not exist"):
            Training(read_sources(TYPED, absent, None), absent, tmp_path / "work").run(until="types")
