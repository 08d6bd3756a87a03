"""A training as data: the table of its stages, what a run would do with them, and the run.

    tagger -> tags -> mine -> types -> [matching] -> codes -> sft
    -> [relevance -> co-train-1, ... -> align -> coded-titles -> pair] -> tag-branch -> type-heads -> export

Stages in brackets need clicks.

`gram-os train --dry-run` prints the table for a catalogue and a recipe. A stage's key is made of its row: the version
of its code, its settings, its sources, and the keys of the stages whose results it reads. All keys are known before
anything runs.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from gram_os.catalogue import Product
from gram_os.errors import InputError
from gram_os.model.bundle import Bundle
from gram_os.text.own_values import strip_title
from gram_os.train.artifacts import BACKBONE, BACKBONE_SETTINGS
from gram_os.train.catalogue_check import check_catalogue
from gram_os.train.catalogue_stages import make_lessons, match_encoder, mine_catalogue, tag_titles, train_tagger
from gram_os.train.click_stages import align, co_train, fit_pair, train_relevance
from gram_os.train.code_version import code_version
from gram_os.train.estimate import estimate_seconds
from gram_os.train.export_stage import make_bundle
from gram_os.train.lessons.clicks import Feedback
from gram_os.train.loop.curves import CurveWriter, plot_curves
from gram_os.train.loop.processes import processes
from gram_os.train.model_stages import code_titles, fine_tune, learn_tags
from gram_os.train.recipe import Recipe
from gram_os.train.stage import StageRunner, StageState, hash_input
from gram_os.train.stage_inputs import ClickSplit, Sources, Stage, StageInputs, read_report, read_setting
from gram_os.train.type_stages import find_types, learn_types

log = logging.getLogger(__name__)

_PAIR_SPLIT = 1  # another draw than that of the queries that measure

# A row: name, function | what it reads | settings | what it makes. Results replace earlier ones of their name.
STAGES: tuple[Stage, ...] = (
    Stage("tagger", train_tagger, ("MiniLM", "tagging data"), ("tagger",), "tagger",
          runs=lambda recipe: recipe.tagger_checkpoint is None, by_all=True),
    Stage("tags", tag_titles, ("titles", "tagger"), (), "tags"),
    Stage("mine", mine_catalogue, ("products", "tags"), ("mining",), "mined"),
    Stage("types", find_types, ("MiniLM", "products", "mined"), ("types.taxonomy", "types.thesaurus", "synthesis"),
          "types"),
    Stage("matching", match_encoder, ("MiniLM", "products", "mined", "clicks"), ("matching",), "encoder",
          runs=lambda recipe: recipe.matching.epochs > 0, needs_clicks=True, by_all=True),
    Stage("codes", make_lessons, ("MiniLM", "products", "mined", "encoder", "clicks"), ("synthesis", "initial_codes"),
          "lessons"),
    Stage("sft", fine_tune, (*BACKBONE, "MiniLM", "encoder", "lessons"), (*BACKBONE_SETTINGS, "sft"), "model",
          by_all=True),
    Stage("relevance", train_relevance, ("MiniLM", "products", "mined", "clicks", "clicks to measure"),
          ("relevance",), "relevance model",
          runs=lambda recipe: recipe.cotraining.rounds > 0, needs_clicks=True, by_all=True),
    Stage("co-train", co_train, (*BACKBONE, "model", "relevance model", "lessons", "clicks"),
          (*BACKBONE_SETTINGS, "sft", "cotraining", "serving.title_codes"), "model",
          runs=lambda recipe: recipe.cotraining.rounds > 0, needs_clicks=True, by_all=True),
    Stage("align", align, (*BACKBONE, "model", "clicks"), (*BACKBONE_SETTINGS, "alignment"), "model",
          runs=lambda recipe: recipe.alignment.steps > 0, needs_clicks=True, by_all=True),
    Stage("coded-titles", code_titles, (*BACKBONE, "model"), (*BACKBONE_SETTINGS, "serving.title_width"),
          "coded titles", runs=lambda recipe: recipe.pair.share > 0, needs_clicks=True),
    Stage("pair", fit_pair, (*BACKBONE, "model", "coded titles", "clicks to fit", "clicks to measure"),
          (*BACKBONE_SETTINGS, "pair", "serving.query_width"), "pair weights",
          runs=lambda recipe: recipe.pair.share > 0, needs_clicks=True),
    Stage("tag-branch", learn_tags, (*BACKBONE, "model", "tagging data"), ("tag_branch",), "model",
          runs=lambda recipe: recipe.causal is None, by_all=True),  # a causal LM's bundle tags nothing
    Stage("type-heads", learn_types, (*BACKBONE, "model", "types"), ("types.heads",), "type heads",
          runs=lambda recipe: recipe.causal is None),
    Stage("export", make_bundle, (*BACKBONE, "model", "pair weights", "types", "type heads", "tagging data"),
          (*BACKBONE_SETTINGS, "label", "source", "precision", "serving"), "bundle", by_all=True, kept=False),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """A stage of one training.

    reads: what it reads of what there is: without clicks there are none. key_parts: what its key is made of, by name.
    seconds: the estimate for two cores, 0 for a cached stage.
    """

    stage: Stage
    reads: tuple[str, ...]
    key_parts: dict[str, object]
    state: StageState
    seconds: float


@dataclass(frozen=True, slots=True)
class Trained:
    """What a run made. seconds: of each stage in this run. reports: what stages say of themselves, by stage."""

    bundle: Bundle
    seconds: dict[str, float]
    reports: dict[str, object]


class Training:
    """One training: sources, recipe, and the folder `work` of its stages.

    out: the folder of the bundle. Without it the stage `export` is left out.
    """

    def __init__(
        self,
        sources: Sources,
        recipe: Recipe,
        work: Path,
        *,
        out: Path | None = None,
        curves: CurveWriter | None = None,
    ):
        self.sources, self.recipe, self.runner = sources, recipe, StageRunner(work)
        self.results: dict[str, Path] = {}
        self.reports: dict[str, object] = {}
        self._out, self._curves = out, curves
        self._values = sources.values()
        self._hashes: dict[str, str] = {}
        self._memory: dict[tuple[str, Path], object] = {}
        if recipe.tagger_checkpoint is not None:
            self.results["tagger"] = recipe.tagger_checkpoint

    def plan(self) -> list[PlannedStage]:
        """All stages in order, with what a run would do now. Nothing is run and nothing is written."""
        return list(self._plan())

    def run(self, *, until: str | None = None) -> None:
        """Run the stages that are not cached, up to and with `until`, by default all.

        `results` has the folders then, `reports` what stages say of themselves. Raises InputError for an unknown stage.
        """
        names = [stage.name for stage in self._stages()]
        if until is not None and until not in names:
            raise InputError(f"this training has no stage '{until}'; its stages are {', '.join(names)}")
        for planned in self._plan():
            stage = planned.stage
            inputs = self.inputs_of(stage)
            if stage.kept:
                folder = self.runner.run(
                    stage.name, planned.key_parts, partial(stage.make, inputs), by_all=stage.by_all
                )
            else:
                assert self._out is not None  # noqa: S101 (the plan has no such stage without it)
                with self.runner.measure(stage.name):
                    stage.make(inputs, self._out)
                folder = self._out
            self.results[stage.makes] = folder
            if (report := read_report(folder)) is not None:
                self.reports[stage.name] = report
            if stage.name == until:
                break

    def inputs_of(self, stage: Stage) -> StageInputs:
        """What a stage may read, of the results so far."""
        return StageInputs(stage, self.recipe, self.sources, self.results, self._curves, self._memory)

    def _plan(self) -> Iterator[PlannedStage]:
        given = self.recipe.tagger_checkpoint
        keys = {} if given is None else {"tagger": hash_input(given)}
        for stage in self._stages():
            parts: dict[str, object] = {"code": code_version(stage.make)}
            parts |= {f"setting {name}": read_setting(self.recipe, name) for name in stage.settings}
            there = {**self._values, **keys}
            for name in stage.reads:
                parts[f"reads {name}"] = self._hash_source(name) if name in self._values else keys.get(name)
            reads = tuple(name for name in stage.reads if there.get(name) is not None)
            key = self.runner.key(stage.name, parts)
            state = self.runner.state(stage.name, key) if stage.kept else StageState.RUNS
            keys[stage.makes] = key
            yield PlannedStage(stage, reads, parts, state, self._estimate(stage, state))

    def _stages(self) -> Iterator[Stage]:
        """The stages that this training has, rounds of co-training one by one."""
        recipe, clicks = self.recipe, self.sources.clicks.teach is not None
        for stage in STAGES:
            if not stage.runs(recipe) or (stage.needs_clicks and not clicks) or (not stage.kept and self._out is None):
                continue
            if stage.name == "co-train":
                yield from (replace(stage, name=f"co-train-{n}") for n in range(1, recipe.cotraining.rounds + 1))
            else:
                yield stage

    def _hash_source(self, name: str) -> str:
        if name not in self._hashes:
            self._hashes[name] = hash_input(self._values[name])
        return self._hashes[name]

    def _estimate(self, stage: Stage, state: StageState) -> float:
        if state is StageState.CACHED:
            return 0.0
        clicks = self.sources.clicks.teach
        last = self.runner.last_seconds(stage.name)
        return estimate_seconds(
            stage.name, self.recipe, products=len(self.sources.products),
            queries=len(clicks.by_query) if clicks else 0,
        ) if last is None else last  # fmt: skip


def split_clicks(feedback: Feedback | None, products: Sequence[Product], recipe: Recipe) -> ClickSplit:
    """Split clicks by query as the recipe says. Raises InputError for feedback on other products."""
    if feedback is None:
        return ClickSplit()
    teach, dropped = feedback.restrict({product.id for product in products})
    if dropped:
        log.warning("%d pairs are about products that the catalogue lacks and are left out", dropped)
    fit = measure = None
    if recipe.held_out:
        teach, measure = teach.split(recipe.held_out)
    if recipe.pair.share:
        teach, fit = teach.split(recipe.pair.share, seed=_PAIR_SPLIT)
    return ClickSplit(teach, fit, measure)


def read_sources(products: Sequence[Product], recipe: Recipe, feedback: Feedback | None) -> Sources:
    """The sources of a training. Raises InputError as `check_catalogue` and `split_clicks` do."""
    products = [strip_title(product) for product in products]  # the model learns from what it is shown in serving
    check_catalogue(products, recipe.mining)
    return Sources(products, split_clicks(feedback, products, recipe))


def run_training(
    products: Sequence[Product], recipe: Recipe, out: Path, *, feedback: Feedback | None = None
) -> Trained:
    """Train on `products` by `recipe`, write the bundle to the folder `out`.

    Stages are kept in `out`/work, with losses and measures in curves.csv, drawn in curves.html, and costs in
    costs.json. A run that was killed goes on where it was. Raises InputError as `read_sources` does.
    """
    sources = read_sources(products, recipe, feedback)
    with ExitStack() as stack:
        first = processes().is_main_process  # under a launcher one process writes, and all train
        curves = stack.enter_context(CurveWriter(out / "work" / "curves.csv")) if first else None
        training = Training(sources, recipe, out / "work", out=out, curves=curves)
        training.run()
        if curves is not None:
            plot_curves(curves.path, curves.path.with_suffix(".html"))
    seconds = {cost.stage: cost.seconds for cost in training.runner.costs()}
    return Trained(Bundle.load(out), seconds, training.reports)


def plan_training(
    products: Sequence[Product], recipe: Recipe, out: Path, *, feedback: Feedback | None = None
) -> list[PlannedStage]:
    """What `run_training` with these arguments would do, stage by stage. Nothing is run and nothing is written."""
    return Training(read_sources(products, recipe, feedback), recipe, out / "work", out=out).plan()
