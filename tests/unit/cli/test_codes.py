"""`gram-os codes` with the shipped bundle, and every bundle that cannot be opened."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import onnxruntime
import pytest

from gram_os.data import default_bundle
from gram_os.model.bundle import Bundle
from tests.bundles import make_bundle
from tests.command import run

BLOCKER = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "onnxruntime":
            raise ModuleNotFoundError("No module named 'onnxruntime'", name="onnxruntime")

sys.meta_path.insert(0, Blocker())
from gram_os.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(("side", "text"), [("query", "black toner for Xerox"), ("title", "Xerox Black Toner")])
def test_codes_and_attributes_as_json(side: str, text: str) -> None:
    found = run("codes", f"--{side}", text, "--json").json()
    assert set(found) == {"text", "side", "bundle", "codes", "attributes"}
    assert (found["text"], found["side"]) == (text, side)
    assert found["bundle"] == Bundle.load().id
    codes = {row["code"]: row for row in found["codes"]}
    assert 1 <= len(codes) <= 10
    widest = codes["black | toner | xerox"]
    assert widest == {
        "code": "black | toner | xerox", "granularity": "medium", "types": ["colour", "product_type", "brand"],
        "probability": widest["probability"], "from": "text",
    }  # fmt: skip
    (brand,) = found["attributes"]["brand"]
    assert brand == {"value": "xerox", "probability": brand["probability"], "from": "text"}
    values = {row["value"] for rows in found["attributes"].values() for row in rows}
    for row in found["codes"]:
        assert set(row["code"].split(" | ")) <= values
        assert len(row["types"]) == row["code"].count(" | ") + 1
        assert row["probability"] is None or 0 < row["probability"] < 1


@pytest.mark.parametrize("side", ["query", "title"])
def test_weights_as_json(side: str) -> None:
    found = run("codes", f"--{side}", "black toner for Xerox", "--weights", "--json").json()
    own = [row for row in found["weights"] if row["from"] == "text"]
    assert [row["code"] for row in own][:3] == ["black", "toner", "xerox"]
    assert own[0] == {
        "code": "black", "granularity": "coarse", "types": ["colour"], "probability": own[0]["probability"],
        "from": "text", "weight": own[0]["weight"],
    }  # fmt: skip
    assert any(row["from"] == "model" for row in found["weights"])
    for row in found["weights"]:
        assert row["probability"] is None or 0 < row["probability"] < 1
        assert 0 < row["weight"] <= 1


def test_codes_as_tables() -> None:
    done = run("codes", "--query", "black toner for Xerox zzzq")
    assert done.code == 0
    assert "query: black toner for Xerox zzzq" in done.out
    lines = done.out.splitlines()
    half = [line.strip() for line in lines].index("attributes")
    codes, attributes = lines[:half], lines[half:]
    assert any("black | toner | xerox" in line and "medium" in line and "text" in line for line in codes)
    assert any("brand" in line and "xerox" in line for line in attributes)
    assert "zzzq" not in "".join(lines[1:])  # no dictionary types it
    assert "weights" not in done.out


def test_weights_as_a_table() -> None:
    lines = run("codes", "--query", "black toner for Xerox zzzq", "--weights").out.splitlines()
    assert any("zzzq" in line and "-" in line for line in lines[1:])
    assert any("model" in line for line in lines)


def test_text_without_a_typed_value_says_so() -> None:
    done = run("codes", "--query", "zzzq")
    assert done.code == 0
    assert "no codes: no value has a type" in " ".join(done.out.split())


def test_unknown_value_has_no_probability() -> None:
    rows = run("codes", "--query", "zzzq", "--weights", "--json").json()["weights"]
    assert rows[0] == {
        "code": "zzzq", "granularity": "coarse", "types": [None], "probability": None, "from": "text",
        "weight": Bundle.load().manifest.pair.query.unknown,
    }  # fmt: skip


@pytest.mark.parametrize("text", ["😀 שלום \x01", "\udcff\udcfe toner", "toner " * 16_000])
def test_odd_texts(text: str) -> None:
    for side in ("--query", "--title"):
        assert run("codes", side, text, "--weights", "--json").json()["weights"]


@pytest.mark.parametrize("text", ["x" * 100_000, "*", "the of and", "..."])
def test_text_that_says_nothing_has_no_codes(text: str) -> None:
    for side in ("--query", "--title"):
        found = run("codes", side, text, "--weights", "--json").json()
        assert (found["codes"], found["attributes"], found["weights"]) == ([], {}, [])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "give either --query or --title"),
        (("--query", "a", "--title", "b"), "give either --query or --title"),
        (("--query", ""), "the text is empty"),
        (("--title", " \t"), "the text is empty"),
    ],
)
def test_one_text_is_needed(words: tuple[str, ...], says: str) -> None:
    done = run("codes", *words)
    assert (done.code, done.out) == (2, "")
    assert says in done.err


def test_bundle_that_is_not_there(tmp_path: Path) -> None:
    done = run("codes", "--query", "x", "--bundle", str(tmp_path))
    assert done.code == 2
    assert f"{tmp_path} is no bundle: it has no manifest.json" in done.err


@pytest.mark.parametrize("name", ["encoder.onnx", "codes.npz", "dictionary.tsv", "tokenizer.json"])
def test_truncated_bundle(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(default_bundle(), folder)
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: len(whole) // 2])
    done = run("codes", "--query", "x", "--bundle", str(folder), "--json")
    assert (done.code, done.out) == (2, "")
    error = json.loads(done.err)["error"]
    assert error["type"] == "BundleError"
    assert f"{name} has {len(whole) // 2} bytes instead of {len(whole)}" in error["message"]


def test_graphs_that_are_none(tmp_path: Path) -> None:
    make_bundle(tmp_path)
    done = run("codes", "--query", "x", "--bundle", str(tmp_path))
    assert done.code == 2
    assert "encoder.onnx cannot be opened by ONNX Runtime" in done.err


def test_a_device_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime offers CUDA")
    monkeypatch.setenv("GRAM_OS_MODEL_DEVICE", "cuda")
    done = run("codes", "--query", "x")
    assert (done.code, done.out) == (1, "")
    assert "device 'cuda' was asked for" in done.err
    assert "install 'gram-os[gpu]'" in done.err


def test_threads_change_no_code(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("codes", "--query", "hp laser toner", "--weights", "--json")
    before = run(*words).out
    monkeypatch.setenv("GRAM_OS_MODEL_THREADS", "1")
    assert run(*words).out == before


def test_without_onnx_runtime(tmp_path: Path) -> None:
    make_bundle(tmp_path)
    command = [sys.executable, "-c", BLOCKER, "codes", "--query", "x", "--bundle", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "gram-os: ONNX Runtime is not installed; run: pip install 'gram-os[cpu]'\n"
