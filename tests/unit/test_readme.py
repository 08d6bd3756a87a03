"""What the README and the pages say is there: files, verbs, options, errors, rooms."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from gram_os import errors
from gram_os.cli.main import VERBS, build_app
from tests.unit.test_imports import ROOMS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")

# The log is a diary: it may name files and options of its day.
PAGES = [
    ROOT / "README.md",
    ROOT / "models/README.md",
    *(page for page in sorted((ROOT / "docs").glob("*.md")) if page.name != "log.md"),
]

GLOSSARY_LINES = 25


def test_tree_names_every_module_once_and_no_other() -> None:
    tree = ARCHITECTURE.split("gram_os/              the library", 1)[1].split("\nbenchmarks/", 1)[0]
    named = re.findall(r"^  ([a-z_]+(?:\.py|/)) ", tree, re.MULTILINE)
    parts = {path.name + "/" * path.is_dir() for path in (ROOT / "gram_os").iterdir() if path.name[0] not in "._"}
    assert sorted(named) == sorted(parts - {"py.typed"})


def test_architecture_lists_the_rooms_in_the_order_of_their_imports() -> None:
    table = ARCHITECTURE.split("## Who may import whom", 1)[1].split("\n## ", 1)[0]
    cells = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    assert tuple(re.findall(r"`([a-z_.]+)`", "".join(cells))) == ROOMS


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
    """The example without a cluster; tests/integration/test_readme_examples.py runs those with one."""
    example, _ = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    exec(compile(example, "README.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    assert {"toner coarse", "black | toner | xerox medium", "brand xerox from the text"} <= set(lines)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and not _is_there(page, link)] == []


def _is_there(page: Path, link: str) -> bool:
    name, _, anchor = link.partition("#")
    target = page.parent / name if name else page
    return target.exists() and (not anchor or anchor in _anchors(target))


def _anchors(page: Path) -> list[str]:
    """A page's headings as a forge writes them into links."""
    headings = re.findall(r"^#+ (.*)", page.read_text(encoding="utf-8"), re.MULTILINE)
    return [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]


def test_the_readme_links_to_every_page() -> None:
    assert {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")} <= set(re.findall(r"\]\(([^)]+)\)", README))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_spans_name_files_that_are_there(page: Path) -> None:
    """A path of the repository in backticks; `{a,b}` and `*` stand for several files."""
    text = page.read_text(encoding="utf-8")
    tops = "gram_os|benchmarks|models/recipes|docs|scripts|tests|\\.ci"
    paths = re.findall(rf"`((?:{tops})/[\w./*-]+)`", text)
    missing = [path for path in paths if not any(ROOT.glob(path.rstrip("/")))]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_name_verbs_and_options_that_are_there(page: Path) -> None:
    wrong = [
        f"gram-os {command}: no {word}"
        for command in _commands(page.read_text(encoding="utf-8"))
        for word in _unknown_words(command.split())
    ]
    assert wrong == []


def test_wrong_commands_are_found() -> None:
    page = "```sh\nuv run gram-os lod x  # no verb\ngram-os load x \\\n  --indx i\n```\nthen `gram-os cluster halt`"
    assert [word for command in _commands(page) for word in _unknown_words(command.split())] == [
        "lod",
        "--indx",
        "halt",
    ]


def _commands(text: str) -> Iterator[str]:
    """What stands behind `gram-os` in a command, in the fenced blocks of a shell and in code spans."""
    blocks = re.findall(r"^```(?:sh|)\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))
    for line in (line for block in blocks for line in block.replace("\\\n", " ").splitlines()):
        yield from re.findall(r"\bgram-os ([a-z][^|&#;`]*)", line.split("  #")[0])
    for span in spans:
        yield from re.findall(r"\bgram-os ([a-z][^|&#;]*)", span)


def _unknown_words(words: list[str]) -> list[str]:
    """A verb that is none, or the options that the verb does not have. What stands behind `--` is a text."""
    words = words[: words.index("--")] if "--" in words else words
    if words[0] not in VERBS:
        return words[:1]
    verb = _verb(words[0])
    if (verbs := getattr(verb, "commands", None)) and len(words) > 1:
        if words[1] not in verbs:
            return words[1:2]
        verb = verbs[words[1]]
    known = {option for parameter in verb.params for option in parameter.opts}
    return [word for word in words if word.startswith("--") and word.split("=")[0].rstrip("`.,)") not in known]


@cache
def _verb(name: str) -> Any:
    """The verb as click, or typer's copy of click, knows it. It has `params`, and `commands` for verbs of its own."""
    app: Any = typer.main.get_command(build_app(name))
    return app.commands[name]


def test_every_error_has_its_cure_on_the_page() -> None:
    page = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
    classes = [name for name, of in vars(errors).items() if isinstance(of, type) and issubclass(of, errors.GramError)]
    assert [name for name in classes if not re.search(rf"^## .*`{name}`", page, re.MULTILINE)] == []


def test_messages_on_the_page_are_those_of_the_code() -> None:
    page = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?) \| ", page, re.MULTILINE)
    messages = [message for row in rows for message in re.findall(r"`([^`]+)`", row) if message not in _FOREIGN]
    assert len(messages) > 100
    texts = "\n".join(_texts_of_the_package())
    wanted = {message: ".*".join(map(re.escape, message.split("..."))) for message in messages}
    assert [message for message, pattern in wanted.items() if not re.search(pattern, texts)] == []


# pydantic's words for an unknown key of a recipe
_FOREIGN = ("Extra inputs are not permitted",)


def _texts_of_the_package() -> Iterator[str]:
    """Every string of the sources, one a line; what is put into an f-string is left out."""
    for path in (ROOT / "gram_os").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield "".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value.replace("\n", " ")


def test_glossary_is_short_enough_to_read() -> None:
    rows = [line for line in (ROOT / "docs/glossary.md").read_text(encoding="utf-8").splitlines() if line]
    assert len(rows) <= GLOSSARY_LINES
