"""What the stages of a run share: the catalogue read once, lessons, backbones, and where traces are left."""

from __future__ import annotations

import gzip
import json
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from gram_os.catalogue import Product
from gram_os.data import tagging_data
from gram_os.text.attribute import AttributeType, Side
from gram_os.text.tagger import Span
from gram_os.train.backbones.backbone import Backbone
from gram_os.train.backbones.causal import CausalBackbone
from gram_os.train.backbones.compact import CompactBackbone
from gram_os.train.lessons.clicks import Feedback
from gram_os.train.lessons.code_report import report_codes
from gram_os.train.lessons.synthesis import SyntheticQuery
from gram_os.train.lessons.teach import (
    Lesson,
    Lessons,
    read_lesson,
    synthetic_queries,
    teach,
    teach_clicks,
    write_lesson,
)
from gram_os.train.loop.curves import CurveWriter
from gram_os.train.loop.processes import SCRATCH, processes
from gram_os.train.loop.training_loop import Journal
from gram_os.train.mining.catalogue import Mined, mine
from gram_os.train.models.causal import load_causal
from gram_os.train.models.encoder import load_encoder, load_tokenizer
from gram_os.train.models.tagger import make_tagger
from gram_os.train.models.tagger_checkpoint import load_checkpoint, run_tagger_stage
from gram_os.train.objectives.matching import learn_matching
from gram_os.train.pair.data import Catalogue
from gram_os.train.recipe import Recipe
from gram_os.train.stage import StageRunner

log = logging.getLogger(__name__)

_REPORT = "report.json"
_VALUES = "values.npy"


@dataclass
class Materials:
    """What stages are made from; each part is made, or read from its stage's folder, when it is first asked for.

    feedback: what may be learned from, the held-out queries left out; curves: None in every process but the first;
    seconds: of what is not kept in a folder; reports: what the stages say of themselves.
    """

    products: Sequence[Product]
    recipe: Recipe
    work: Path
    feedback: Feedback | None
    curves: CurveWriter | None
    seconds: dict[str, float] = field(default_factory=dict)
    reports: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.runner = StageRunner(self.work)
        self.tokenizer = load_tokenizer()

    @cached_property
    def tagger_folder(self) -> Path:
        """The tagger's checkpoint."""
        if self.recipe.tagger_checkpoint is not None:
            return self.recipe.tagger_checkpoint
        data = tagging_data()

        def make(folder: Path) -> None:
            run_tagger_stage(data, folder, self.recipe.tagger)

        return self.runner.run("tagger", {"data": data, "recipe": self.recipe.tagger}, make, by_all=True)

    @cached_property
    def mined(self) -> Mined:
        """The catalogue, read."""
        titles = [product.title for product in self.products]

        def make(folder: Path) -> None:
            tagger = make_tagger(load_checkpoint(self.tagger_folder), self.tokenizer)
            _write_spans(tagger.tag(titles, Side.TITLE), folder / "spans.jsonl.gz")

        folder = self.runner.run("tags", {"tagger": self.tagger_folder, "titles": titles}, make)
        recipe = self.recipe.mining
        with self.lap("mine"):
            mined = mine(
                self.products, _read_spans(folder / "spans.jsonl.gz"), attributes=recipe.attributes,
                texts=recipe.texts, most_values=recipe.most_values, least_products=recipe.least_products,
            )  # fmt: skip
        kinds = ", ".join(f"{name}={kind.value}" for name, kind in mined.attributes.items())
        log.info("%d values, %d codes, attributes %s", len(mined.dictionary.values), len(mined.codes), kinds)
        return mined

    @cached_property
    def synthetic(self) -> list[SyntheticQuery]:
        """Synthetic queries."""
        return synthetic_queries(self.mined, self.recipe.synthesis.queries, self.recipe.synthesis.seed)

    @cached_property
    def catalogue(self) -> Catalogue:
        """The catalogue's own values as columns."""
        return Catalogue.read(self.mined)

    @cached_property
    def encoder_folder(self) -> Path | None:
        """The encoder that was tuned on the clicks; None (MiniLM as published) without clicks."""
        settings, feedback = self.recipe.matching, self.feedback
        if feedback is None or not settings.epochs:
            return None
        mined = self.mined
        titles = [product.title for product in self.products]

        def make(folder: Path) -> None:
            encoder = load_encoder()
            learn_matching(encoder, self.tokenizer, mined, feedback, settings, self.journal("matching", folder))
            if processes().is_main_process:
                encoder.save_pretrained(folder)

        inputs = {
            "settings": settings,
            "feedback": feedback.pairs,
            "titles": titles,
            "tagger": self.tagger_folder,
            "mining": self.recipe.mining,
        }
        return self.runner.run("matching", inputs, make, by_all=True)

    @cached_property
    def codes_folder(self) -> Path:
        """The first lessons of both sides."""
        recipe = self.recipe
        # Tags are a stage of their own: made inside of this one, a launcher's processes would wait for each other.
        _ = self.mined
        inputs = {
            "products": [(p.id, p.title, dict(p.fields)) for p in self.products],
            "tagger": self.tagger_folder,
            "mining": recipe.mining,
            "synthesis": recipe.synthesis,
            "initial": recipe.initial_codes,
            "feedback": self.feedback.pairs if self.feedback else None,
            "encoder": self.encoder_folder,
        }
        return self.runner.run("codes", inputs, self._make_codes)

    def _make_codes(self, folder: Path) -> None:
        feedback, mined = self.feedback, self.mined
        taught = teach(
            mined, [] if feedback is None else list(feedback.by_query), self.synthetic,
            load_encoder(self.encoder_folder), self.tokenizer, words=self.recipe.synthesis.words,
        )  # fmt: skip
        np.save(folder / _VALUES, taught.values)
        titles = taught.titles
        if feedback is not None:
            asked, titles, found = teach_clicks(mined, feedback, taught.asked, titles, self.recipe.initial_codes)
            write_lesson(asked, folder / "asked.jsonl.gz")
            report = report_codes(found.queries.values(), found.titles.values())
            write_report(folder, report.as_dict())
        write_lesson(taught.made, folder / "queries.jsonl.gz")
        write_lesson(titles, folder / "titles.jsonl.gz")

    def lessons(self) -> Lessons:
        """What both sides are taught at first."""
        folder = self.codes_folder
        asked = folder / "asked.jsonl.gz"
        if asked.is_file():
            self.note("initial codes", folder)
        return Lessons(
            read_lesson(asked) if asked.is_file() else Lesson([], []),
            read_lesson(folder / "queries.jsonl.gz"),
            read_lesson(folder / "titles.jsonl.gz"),
        )

    def backbone(self, folder: Path | None = None) -> Backbone:
        """The recipe's backbone as a stage left it; new without one."""
        causal = self.recipe.causal
        if causal is None:
            return self.compact(folder)
        backbone = CausalBackbone(self.mined, load_causal(causal.model, gguf_file=causal.gguf_file))
        if folder is not None:
            backbone.load(folder)
        return backbone

    def compact(self, folder: Path | None = None) -> CompactBackbone:
        """The compact backbone as a stage left it; new without one."""
        backbone = CompactBackbone(self.mined, load_checkpoint(self.tagger_folder), self.tokenizer)
        if folder is None:
            backbone.initialise(load_encoder(self.encoder_folder), np.load(self.codes_folder / _VALUES))
        else:
            backbone.load(folder)
        return backbone

    def note(self, stage: str, folder: Path) -> None:
        """Take a stage's report among the run's."""
        self.reports[stage] = json.loads((folder / _REPORT).read_text(encoding="utf-8"))

    def journal(self, stage: str, folder: Path) -> Journal:
        """Where a stage's training leaves its traces."""
        return Journal(stage, folder / SCRATCH, self.curves)

    @contextmanager
    def lap(self, stage: str) -> Iterator[None]:
        """Measure a stage that is not kept in a folder."""
        started = time.monotonic()
        yield
        self.seconds[stage] = round(time.monotonic() - started, 1)


def write_report(folder: Path, content: object) -> None:
    """Write what a stage says of itself into its folder, from the first process; `Materials.note` reads it."""
    if processes().is_main_process:
        (folder / _REPORT).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _write_spans(rows: Sequence[Sequence[Span]], path: Path) -> None:
    with gzip.open(path, "wt", encoding="utf-8", compresslevel=3) as stream:
        for spans in rows:
            stream.write(json.dumps([list(asdict(span).values()) for span in spans]) + "\n")


def _read_spans(path: Path) -> list[list[Span]]:
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        return [
            [Span(start, end, text, AttributeType(kind), *rest) for start, end, text, kind, *rest in json.loads(line)]
            for line in stream
        ]  # fmt: skip
