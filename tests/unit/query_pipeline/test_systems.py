"""Arguments of `open_pipeline` that exclude each other; the rest needs a cluster (tests/integration/test_search.py)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gram_os.cluster.client import Cluster
from gram_os.errors import InputError
from gram_os.query_pipeline.systems import SYSTEM_NAMES, build_systems, open_pipeline
from gram_os.settings import ModelSettings
from tests.bundles import make_generator

CLUSTER = Cluster.__new__(Cluster)  # connected to nothing: any use of it fails


def _build(cluster: Cluster, index: str, **given: Any) -> object:
    return build_systems(cluster, index, SYSTEM_NAMES, **given)


@pytest.mark.parametrize("open_", [open_pipeline, _build])
@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["bundle"], "leave out bundle, .* or leave out generator"),
        (["model"], "leave out model, .* or leave out generator"),
        (["bundle", "model"], "leave out bundle and model, .* or leave out generator"),
    ],
)
def test_a_generator_stands_alone(open_: Callable[..., object], names: list[str], message: str, tmp_path: Path) -> None:
    others: dict[str, object] = {"bundle": tmp_path, "model": ModelSettings()}
    given = {name: others[name] for name in names}
    with pytest.raises(InputError, match=message):
        open_(CLUSTER, "products", generator=make_generator(tmp_path), **given)


def test_bundle_label_and_generator_go_by_name(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="positional"):
        open_pipeline(CLUSTER, "products", tmp_path)  # type: ignore[call-arg]
