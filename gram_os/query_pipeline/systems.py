"""The three modes of one index as systems that can be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gram_os.cluster.client import Cluster
from gram_os.cluster.dsl import code_field
from gram_os.cluster.labels import require_bundle, require_label
from gram_os.model.backbone import load_generator
from gram_os.query_pipeline.coder import BundleGenerator
from gram_os.query_pipeline.hit import Hit
from gram_os.query_pipeline.search import IndexFields, Mode, QueryPipeline
from gram_os.settings import ModelSettings

SYSTEM_NAMES = tuple(mode.value for mode in Mode)


@dataclass(frozen=True, slots=True)
class ModeSystem:
    """One mode of a pipeline."""

    pipeline: QueryPipeline
    mode: Mode

    def search(self, text: str, size: int) -> Sequence[Hit]:
        """The best `size` products of a query."""
        return self.pipeline.search(text, mode=self.mode, size=size).hits


def open_pipeline(
    cluster: Cluster,
    index: str,
    bundle: Path | None,
    *,
    label: str | None = None,
    generator: BundleGenerator | None = None,
    model: ModelSettings | None = None,
) -> QueryPipeline:
    """The query pipeline of an index under a label, the active one by default.

    `model` says where the bundle's graphs run. `generator` is in place of the bundle's own: one that is loaded already, or a
    `QueryCoder` for many threads and queries.
    Raises BundleError when the bundle is not the one that coded the label: its queries would miss the documents' codes.
    """
    state = require_label(cluster, index, label)
    if generator is None:
        model = model or ModelSettings()
        generator = load_generator(bundle, model.device, model.threads)
    require_bundle(state, index, generator.bundle.id, generator.bundle.path)
    field = code_field(state.label)
    fields = IndexFields(index, state.title_field, f"{field}.codes", f"{field}.weights")
    manifest = generator.bundle.manifest
    return QueryPipeline(
        cluster,
        fields,
        generator,
        idf_exponent=manifest.pair.idf_exponent,
        gram_weight=manifest.gram_weight,
    )


def build_systems(
    cluster: Cluster,
    index: str,
    bundle: Path | None,
    names: Sequence[str],
    *,
    model: ModelSettings | None = None,
) -> Mapping[str, ModeSystem]:
    """The named systems (`SYSTEM_NAMES`) over one pipeline."""
    pipeline = open_pipeline(cluster, index, bundle, model=model)
    return {name: ModeSystem(pipeline, Mode(name)) for name in names}
