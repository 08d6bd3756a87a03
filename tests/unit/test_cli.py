"""The command line as a whole: exit codes, errors as text and as JSON, help, progress."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from gram_os.cli import main as cli
from gram_os.cli import output
from gram_os.errors import ClusterUnreachableError, GramError, IndexMissingError

VERBS = list(cli.VERBS)


@pytest.fixture(autouse=True)
def _keep_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


def _verb_that_raises(monkeypatch: pytest.MonkeyPatch, error: BaseException | None) -> None:
    """Replace the verb `load`: it raises the error, or prints what it was given."""

    def add(app: typer.Typer, name: str, line: str) -> None:
        def run(text: str = "", as_json: output.JsonOption = False) -> None:
            if error is not None:
                raise error
            output.print_json({"text": text, "json": as_json})

        app.command(name, help=line)(run)

    monkeypatch.setattr(cli, "_add_verb", add)


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (GramError("it broke"), 1, "it broke"),
        (IndexMissingError("no index 'x'"), 2, "no index 'x'"),
        (ClusterUnreachableError("no answer"), 1, "no answer"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (typer.Abort(), 130, "interrupted"),
        (typer.Exit(3), 3, ""),
        (OSError(28, "No space left on device"), 1, "No space left on device"),
    ],
)
def test_errors_become_exit_codes_and_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    says: str,
) -> None:
    _verb_that_raises(monkeypatch, error)
    assert cli.main(["load"]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert says in captured.err
    assert "Traceback" not in captured.err
    assert captured.err.count("\n") <= 1


def test_verbose_shows_the_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    _verb_that_raises(monkeypatch, GramError("it broke"))
    assert cli.main(["--verbose", "load"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_errors_as_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    _verb_that_raises(monkeypatch, IndexMissingError("no index 'é'"))
    assert cli.main(["load", "--json"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert json.loads(captured.err) == {"error": {"type": "IndexMissingError", "message": "no index 'é'"}}


@pytest.mark.parametrize("args", [["no-such-verb"], ["load", "--no-such-option"], ["load", "extra"], []])
def test_bad_usage_is_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], args: list[str]
) -> None:
    _verb_that_raises(monkeypatch, None)
    assert cli.main(args) == 2
    assert {"Usage:", "Error:"} & set(capsys.readouterr().err.split())
    if args:
        assert cli.main([*args, "--json"]) == 2
        assert json.loads(capsys.readouterr().err)["error"]["message"]


def test_result_of_a_verb_goes_to_stdout(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    _verb_that_raises(monkeypatch, None)
    assert cli.main(["load", "--text", "rot", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"text": "rot", "json": True}


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("gram-os 0.")
    assert cli.main(["--help"]) == 0
    text = capsys.readouterr().out
    assert "Example:" in text
    assert all(name in text for name in VERBS)


def _leaves(command: Any) -> Iterator[Any]:
    if hasattr(command, "commands"):
        for inner in command.commands.values():
            yield from _leaves(inner)
    else:
        yield command


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_an_example_and_json(verb: str) -> None:
    command: Any = typer.main.get_command(cli.build_app(verb))
    for leaf in _leaves(command.commands[verb]):
        assert f"gram-os {verb}" in leaf.epilog.split("Example", 1)[1], leaf.name
        assert "--json" in {name for param in leaf.params for name in param.opts}, leaf.name


def test_closed_pipe_is_no_traceback() -> None:
    code = "import sys; from gram_os.cli.main import main; sys.exit(main(['--help']))"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    _, errors = process.communicate(timeout=60)
    assert b"Traceback" not in errors
    assert b"BrokenPipe" not in errors


def test_progress_off_a_terminal_is_log_lines(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(output, "LOG_EVERY_S", 0.0)
    with caplog.at_level(logging.INFO, "gram_os"), output.show_progress("load", total=3) as advance:
        advance(1)
        advance(2)
    texts = [record.getMessage() for record in caplog.records]
    assert texts[:2] == ["load: 1 of 3 products, about 0 s left", "load: 3 of 3 products"]
    assert texts[2].startswith("load: 3 of 3 products in ")


def test_table_shows_cells_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_table("Hits [1]", ["query", "R@10"], [["[red] nut", "0.5"]], caption="[bold]")
    text = capsys.readouterr().out
    assert "[red] nut" in text
    assert "Hits [1]" in text
    assert "[bold]" in text


def test_an_unreachable_cluster_is_one_line_and_no_traceback() -> None:
    # Port 9 (discard) of this machine: nothing listens there.
    words = ["search", "x", "--index", "products", "--url", "http://127.0.0.1:9"]
    command = [sys.executable, "-m", "gram_os.cli.main", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("gram-os: http://127.0.0.1:9: no answer")
