"""What the README and its pages say is there: the tree, the verbs, the commands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gram_os.cli.main import VERBS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_tree_names_every_module_once_and_no_other() -> None:
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    tree = page.split("gram_os/              the library", 1)[1].split("\nbenchmarks/", 1)[0]
    named = re.findall(r"^  ([a-z_]+(?:\.py|/)) ", tree, re.MULTILINE)
    parts = {path.name + "/" * path.is_dir() for path in (ROOT / "gram_os").iterdir() if path.name[0] not in "._"}
    assert sorted(named) == sorted(parts - {"py.typed"})


def test_every_verb_is_in_the_table() -> None:
    table = set(re.findall(r"^\| `([a-z-]+)", README, re.MULTILINE))
    assert table == set(VERBS)


def test_ci_runs_the_second_command_as_written() -> None:
    setup = [line for line in README.splitlines() if line.startswith("pip install uv")]
    assert setup == ["pip install uv && uv run gram-os demo", "pip install uv && uv run --group test pytest"]
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert setup[1] in script
    assert "uv run gram-os demo --once --json" in script


def test_python_example_runs_on_the_shipped_bundle(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    exec(compile(example, "README.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("toner ") and line.endswith("from the text") for line in lines)
    assert any(line.endswith("from the model") for line in lines)
