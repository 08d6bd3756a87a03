"""What a cluster says about one index: its mapping and its settings. Pure values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

#: The default of `index.max_result_window`: the last hit that a cluster returns for a query.
RESULT_WINDOW: Final = 10_000


@dataclass(frozen=True, slots=True)
class IndexFacts:
    """One index as `GET /INDEX` describes it.

    name: its own name, never an alias. settings: flat, such as `{"index.blocks.write": "true"}`, without defaults.
    data_stream: the stream that it belongs to.
    """

    name: str
    mapping: Mapping[str, Any]
    settings: Mapping[str, Any]
    data_stream: str | None = None

    @property
    def result_window(self) -> int:
        """The last hit that the index returns for a query."""
        return int(self.settings.get("index.max_result_window", RESULT_WINDOW))


def read_facts(name: str, body: Mapping[str, Any]) -> IndexFacts:
    """Read one entry of the answer of `GET /INDEX?flat_settings=true`."""
    return IndexFacts(name, body.get("mappings", {}), body.get("settings", {}), body.get("data_stream"))
