"""The value of a document's field `weights`, made one code at a time: the slow reference of `pack_weights`."""

from __future__ import annotations

from collections.abc import Mapping

from gram_os.cluster.dsl import feature_name


def build_weights(weights: Mapping[str, float]) -> list[dict[str, float]]:
    """Build the value from code -> its weight. Two codes with one feature name count as the heavier of them."""
    features: dict[str, float] = {}
    for code, weight in weights.items():
        name = feature_name(code)
        features[name] = max(round(weight, 5), features.get(name, 0.0))
    return [features]
