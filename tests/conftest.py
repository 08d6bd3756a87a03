"""Types of the fixtures in the root's conftest.py, where doctests see them too."""

from __future__ import annotations

from collections.abc import Callable

MakeIndex = Callable[..., str]
