"""The table of stages: complete, ordered, and the only way to what a stage reads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gram_os.errors import InputError
from gram_os.train.estimate import estimate_seconds
from gram_os.train.pipeline import STAGES, Training, read_sources, split_clicks
from gram_os.train.recipe import Recipe
from gram_os.train.stage_inputs import Sources, Stage, StageInputs, read_setting
from tests.train.clicked_catalogue import FEEDBACK, PRODUCTS

SOURCES = read_sources(PRODUCTS, Recipe(), FEEDBACK)


def _keys(recipe: Recipe, sources: Sources, work: Path) -> dict[str, str]:
    training = Training(sources, recipe, work)
    return {
        planned.stage.name: training.runner.key(planned.stage.name, planned.key_parts) for planned in training.plan()
    }


def _changed(recipe: Recipe, tmp_path: Path, sources: Sources = SOURCES) -> set[str]:
    """The stages that differ from those of the default recipe on the whole catalogue."""
    before, after = _keys(Recipe(), SOURCES, tmp_path), _keys(recipe, sources, tmp_path)
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def test_every_stage_reads_what_is_there_and_names_settings_that_are() -> None:
    there = set(SOURCES.values())
    for stage in STAGES:
        assert set(stage.reads) <= there, stage.name
        for name in stage.settings:
            read_setting(Recipe(), name)
        there.add(stage.makes)
        assert estimate_seconds(stage.name, Recipe(), products=1000, queries=100) > 0


def test_every_setting_of_a_recipe_is_some_stages() -> None:
    read = {name.split(".")[0] for stage in STAGES for name in stage.settings}
    elsewhere = {"held_out", "tagger_checkpoint"}  # they decide what the sources and the tagger's result are
    assert set(Recipe.model_fields) - read == elsewhere


def test_a_change_reaches_what_depends_on_it_and_nothing_else(tmp_path: Path) -> None:
    recipe = Recipe()
    after_sft = {"co-train-1", "align", "coded-titles", "pair", "tag-branch", "type-heads"}
    pair = recipe.model_copy(update={"pair": replace(recipe.pair, loss="margin")})
    assert _changed(pair, tmp_path) == {"pair"}
    transfer = recipe.model_copy(update={"initial_codes": replace(recipe.initial_codes, transfer=False)})
    assert _changed(transfer, tmp_path) == {"codes", "sft", *after_sft}
    rounds = recipe.model_copy(update={"cotraining": recipe.cotraining.model_copy(update={"rounds": 0})})
    assert _changed(rounds, tmp_path) == {"relevance", *after_sft}
    serving = recipe.model_copy(update={"serving": recipe.serving.model_copy(update={"lexical_weight": 9.0})})
    assert _changed(serving, tmp_path) == set()  # a matter of the export, which is run always


def test_a_changed_product_reaches_the_miner_and_not_the_tagger(tmp_path: Path) -> None:
    described = [replace(PRODUCTS[0], fields={**PRODUCTS[0].fields, "description": "for offices"}), *PRODUCTS[1:]]
    changed = _changed(Recipe(), tmp_path, replace(SOURCES, products=described))
    assert changed == {stage.name for stage in STAGES if stage.kept} - {"tagger", "tags", "co-train"} | {"co-train-1"}


def test_a_stage_cannot_read_what_its_row_does_not_name(tmp_path: Path) -> None:
    stage = Stage("sft", lambda inputs, folder: None, ("titles", "mined"), ("sft", "serving.title_codes"), "model")
    inputs = StageInputs(stage, Recipe(), SOURCES, {"lessons": tmp_path}, None)
    assert inputs.recipe.sft.steps == Recipe().sft.steps
    assert inputs.recipe.serving.title_codes == Recipe().serving.title_codes
    assert inputs.titles[0] == PRODUCTS[0].title
    assert inputs.find("mined") is None
    for read in (
        lambda: inputs.recipe.mining,
        lambda: inputs.recipe.serving.title_values,
        lambda: inputs.clicks,
        lambda: inputs.products,
        lambda: inputs.find("lessons"),
    ):
        with pytest.raises(LookupError, match=r"stage 'sft' reads .*, which its row of the table does not name"):
            read()
    with pytest.raises(LookupError, match="stage 'sft' needs 'mined', and no stage before it makes that"):
        inputs.folder("mined")


def test_an_unknown_last_stage_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no stage 'co-train'; its stages are tagger, tags, .*co-train-1, align"):
        Training(SOURCES, Recipe(), tmp_path / "work").run(until="co-train")
    assert not (tmp_path / "work").exists()


def test_clicks_are_split_by_query() -> None:
    split = split_clicks(FEEDBACK, PRODUCTS, Recipe(held_out=0.2))
    assert split.teach is not None
    assert split.fit is not None
    assert split.measure is not None
    queries = [set(part.by_query) for part in (split.teach, split.fit, split.measure)]
    assert all(queries)
    assert sum(map(len, queries)) == len(set().union(*queries)) == len(FEEDBACK.by_query)
    without = split_clicks(None, PRODUCTS, Recipe())
    assert (without.teach, without.fit, without.measure) == (None, None, None)
