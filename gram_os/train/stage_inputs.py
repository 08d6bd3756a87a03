"""A stage as a row of the table, and what it may read: exactly what its row names.

A stage cannot read another source, setting or result by accident. So its key, which is made of the row, holds what
decides the outcome.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import BaseModel

from gram_os.catalogue import Product
from gram_os.data import tagging_data
from gram_os.train.lessons.clicks import Feedback
from gram_os.train.loop.curves import CurveWriter
from gram_os.train.loop.processes import SCRATCH, processes
from gram_os.train.loop.training_loop import Journal
from gram_os.train.models.encoder import pretrained_folder
from gram_os.train.recipe import Recipe

T = TypeVar("T")

_REPORT = "report.json"


@dataclass(frozen=True, slots=True)
class Stage:
    """One row of the table.

    reads: sources (`Sources.values`) and results of stages before it. A result that no stage of this run makes is left
    out. settings: fields of the recipe, "serving.title_codes" for a field of a field. makes: the name of its result.
    The result of a later stage of the same name replaces it. runs: whether a recipe wants the stage. by_all: all
    processes of a launcher make it together. kept: it has a folder of its own in `work`, and is not made twice.
    """

    name: str
    make: Callable[[StageInputs, Path], None]
    reads: tuple[str, ...]
    settings: tuple[str, ...]
    makes: str
    runs: Callable[[Recipe], bool] = lambda _: True
    needs_clicks: bool = False
    by_all: bool = False
    kept: bool = True


@dataclass(frozen=True, slots=True)
class ClickSplit:
    """What clicks are used for. Each query is in one part.

    teach: the model learns from them. fit: the pair scorer is fitted on them. measure: nothing learns from them.
    """

    teach: Feedback | None = None
    fit: Feedback | None = None
    measure: Feedback | None = None


@dataclass(frozen=True, slots=True)
class Sources:
    """What a training reads from outside."""

    products: Sequence[Product]
    clicks: ClickSplit = ClickSplit()

    def values(self) -> dict[str, object]:
        """Each source by the name that the table has for it, as what a key is made of."""
        clicks = self.clicks
        parts = {"clicks": clicks.teach, "clicks to fit": clicks.fit, "clicks to measure": clicks.measure}
        return {
            "titles": [product.title for product in self.products],
            "products": [(product.id, product.title, dict(product.fields)) for product in self.products],
            "tagging data": tagging_data(),
            "MiniLM": pretrained_folder(),
            **{name: part.pairs if part else None for name, part in parts.items()},
        }


@dataclass(frozen=True, slots=True)
class StageInputs:
    """What one stage may read.

    _folders: results of stages before it, by name. curves: None in all processes but the first. memory: what `remember`
    keeps, by name and folder.
    """

    stage: Stage
    _recipe: Recipe
    _sources: Sources
    _folders: Mapping[str, Path]
    curves: CurveWriter | None
    memory: dict[tuple[str, Path], object] = field(default_factory=dict)

    @property
    def recipe(self) -> Recipe:
        """The recipe, of which the stage's settings can be read."""
        return cast("Recipe", _Declared(self._recipe, self.stage.settings, f"stage '{self.stage.name}'"))

    @property
    def products(self) -> Sequence[Product]:
        """The catalogue."""
        self._check("products")
        return self._sources.products

    @property
    def titles(self) -> list[str]:
        """The catalogue's titles."""
        self._check("titles")
        return [product.title for product in self._sources.products]

    @property
    def clicks(self) -> Feedback | None:
        """The clicks that the model may learn from. None without any."""
        self._check("clicks")
        return self._sources.clicks.teach

    @property
    def clicks_to_fit(self) -> Feedback | None:
        """The clicks that the pair scorer is fitted on. None without any."""
        self._check("clicks to fit")
        return self._sources.clicks.fit

    @property
    def clicks_to_measure(self) -> Feedback | None:
        """The clicks that nothing learns from. None without any."""
        self._check("clicks to measure")
        return self._sources.clicks.measure

    @property
    def tagging_data(self) -> Path:
        """The folder of the texts that taggers learn from."""
        self._check("tagging data")
        return tagging_data()

    def find(self, result: str) -> Path | None:
        """The folder with the result of an earlier stage. None where no stage of this run makes it."""
        self._check(result)
        return self._folders.get(result)

    def folder(self, result: str) -> Path:
        """The folder with the result of an earlier stage, which must be there."""
        found = self.find(result)
        if found is None:
            raise LookupError(f"stage '{self.stage.name}' needs '{result}', and no stage before it makes that")
        return found

    def remember(self, name: str, folder: Path, load: Callable[[], T]) -> T:
        """What `load` makes of a stage's folder, once in this process. Whoever gets it must not change it."""
        if (name, folder) not in self.memory:
            self.memory[name, folder] = load()
        return cast("T", self.memory[name, folder])

    def journal(self, folder: Path) -> Journal:
        """Where the training of this stage leaves checkpoints and losses."""
        return Journal(self.stage.name, folder / SCRATCH, self.curves)

    def _check(self, name: str) -> None:
        if name not in self.stage.reads:
            raise LookupError(f"stage '{self.stage.name}' reads '{name}', which its row of the table does not name")


class _Declared:
    """Settings of which some fields can be read; it stands in for a `Recipe` or a part of one."""

    def __init__(self, settings: BaseModel, names: Sequence[str], reader: str):
        self._settings, self._names, self._reader = settings, names, reader

    def __getattr__(self, name: str) -> Any:
        if name in self._names:
            return getattr(self._settings, name)
        inner = [other.removeprefix(f"{name}.") for other in self._names if other.startswith(f"{name}.")]
        if not inner:
            raise LookupError(f"{self._reader} reads the setting '{name}', which its row of the table does not name")
        return _Declared(getattr(self._settings, name), inner, self._reader)


def read_setting(recipe: Recipe, name: str) -> object:
    """A setting by its name in the table."""
    value: object = recipe
    for part in name.split("."):
        value = getattr(value, part)
    return value


def write_report(folder: Path, content: Mapping[str, object]) -> None:
    """Write what a stage says of itself into its folder, from the first process."""
    if processes().is_main_process:
        (folder / _REPORT).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_report(folder: Path) -> dict[str, Any] | None:
    """Read what a stage said of itself. None where it wrote no report."""
    file = folder / _REPORT
    return cast("dict[str, Any]", json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else None
