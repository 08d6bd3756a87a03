"""Who may import whom, read off the sources, and what must not be loaded by serving (docs/architecture.md)."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "gram_os"

# Each module or package imports only what stands before it; inside a package anything goes.
ORDER = [
    *(
        "errors",
        "code",
        "attribute",
        "normalise",
        "prompts",
        "settings",
        "rows",
        "catalogue",
        "clicks",
        "bulk",
        "trie",
        "tagger",
    ),
    *(
        "annotation",
        "lexicon",
        "dictionary",
        "own_values",
        "language_model",
        "beams",
        "decode",
        "pair_weights",
        "array_file",
        "bundle",
        "onnx_lm",
        "token_tree",
        "causal_lm",
        "code_tokens",
    ),
    *("dsl", "generator", "backbone", "packing", "scorer", "cluster", "attachment", "embedded", "sample"),
    *("ingest", "query_pipeline", "relevance", "server", "train", "cli"),
]

# The one place of each foreign library that is slow to import or has a seam of ours in front of it.
SOLE_IMPORTERS = {
    "opensearchpy": ("cluster.py",),
    "onnxruntime": ("onnx_lm.py", "train/"),  # train/ for quantization only
    "torch": ("train/",),
    "transformers": ("train/",),
    "onnx": ("train/",),
    "pyarrow": ("rows.py",),
    "typer": ("cli/",),
    "rich": ("cli/", "embedded/jars.py"),  # the one progress bar below the command line: a 71 MB download
}

# Documents and queries meet the model through Protocols; training knows no cluster and no serving.
FORBIDDEN = {
    "ingest": {"onnx_lm", "causal_lm", "backbone", "tagger", "train"},
    "query_pipeline": {"onnx_lm", "causal_lm", "train"},
    "relevance": {"onnx_lm", "causal_lm", "backbone", "bundle", "query_pipeline", "train"},
    "train": {"cluster", "embedded", "ingest", "query_pipeline", "relevance", "dsl"},
}


def _imports() -> Iterator[tuple[str, str]]:
    """Yield `(file, full name of what it imports)`, also of imports inside functions."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: absolute imports only"
                whole = node.module == "gram_os"
                names = [f"gram_os.{alias.name}" for alias in node.names] if whole else [node.module or ""]
            for name in names:
                yield path.relative_to(PACKAGE).as_posix(), name


def _part(file: str) -> str:
    return file.split("/")[0].removesuffix(".py")


def test_every_module_has_its_place() -> None:
    parts = {_part(path.relative_to(PACKAGE).as_posix()) for path in PACKAGE.rglob("*.py")}
    assert parts - {"__init__", "__main__"} <= set(ORDER)


def test_modules_import_only_what_stands_before_them() -> None:
    wrong = []
    for file, name in _imports():
        importer, (top, *rest) = _part(file), name.split(".")
        if top != "gram_os" or not rest or rest[0] not in ORDER or importer in ("__init__", rest[0]):
            continue
        if ORDER.index(rest[0]) > ORDER.index(importer) or rest[0] in FORBIDDEN.get(importer, ()):
            wrong.append(f"{file} imports {name}")
    assert wrong == []


def test_foreign_libraries_have_one_importer() -> None:
    wrong = [
        f"{file} imports {name}"
        for file, name in _imports()
        if not file.startswith(SOLE_IMPORTERS.get(name.split(".")[0], ("",)))
    ]
    assert wrong == []


HEAVY = ("torch", "transformers", "opensearchpy", "onnxruntime", "pyarrow", "numpy")


@pytest.mark.parametrize(
    "code",
    [
        "import gram_os",
        "from gram_os.cli.main import main; main(['--help'])",
        "from gram_os.cli.main import main; main(['load', '--help'])",
    ],
)
def test_nothing_heavy_is_loaded_by(code: str) -> None:
    check = f"{code}; import sys; heavy = sorted(set({HEAVY!r}) & set(sys.modules)); sys.exit(' '.join(heavy) or 0)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_serving_loads_no_torch() -> None:
    names = [part for part in ORDER if part not in ("train", "cli", "server")]
    modules = [f"gram_os.{name}" for name in names if list(PACKAGE.glob(f"{name}*"))]
    check = f"import {', '.join(modules)}, sys; sys.exit(' '.join({{'torch', 'transformers'}} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
