"""The Python examples of the README and of docs/ that need a cluster: they run as they stand, on an index of ours."""

from __future__ import annotations

import gzip
import json
import re
import shlex
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gram_os.cluster.client import Cluster
from gram_os.cluster.labels import read_attachment
from gram_os.data import default_bundle, sample_file
from gram_os.model.bundle import Bundle, seal
from tests.command import run

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("opensearch_url")]

ROOT = Path(__file__).parents[2]
PRODUCTS = 60
BUNDLE = "models/runs/mine"  # where the pages have their new bundle


@pytest.fixture(scope="module")
def products() -> list[dict[str, Any]]:
    with gzip.open(sample_file("products.jsonl.gz"), "rt", encoding="utf-8") as rows:
        toners = (product for product in map(json.loads, rows) if "toner" in product["title"].lower())
        return [product for product, _ in zip(toners, range(PRODUCTS), strict=False)]


@pytest.fixture(scope="module")
def index(
    cluster: Cluster, opensearch_url: str, products: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """An index that was loaded, attached and coded with the shipped bundle."""
    name, file = f"test-{uuid.uuid4().hex}", tmp_path_factory.mktemp("shop") / "products.jsonl"
    file.write_text("".join(json.dumps(product) + "\n" for product in products), encoding="utf-8")
    for words in (("load", str(file), "--index", name), ("attach", "--index", name), ("backfill", "--index", name)):
        assert run(*words).code == 0
    yield name
    cluster.delete_index(name)


@pytest.fixture
def new_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    """A bundle that writes fewer codes than the shipped one, in the folder of the pages."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / BUNDLE
    shutil.copytree(default_bundle(), folder)
    return seal(folder, Bundle.load(folder).manifest.model_copy(update={"title_values": 5}))


def run_examples(page: str, index: str) -> dict[str, Any]:
    """Run the blocks of a page in order, with our index in place of `products`. Return the names that they leave."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    names: dict[str, Any] = {}
    try:
        for block in blocks:
            exec(compile(block.replace('"products"', f'"{index}"'), page, "exec"), names)
    finally:
        for name in ("cluster", "coder"):
            if name in names:
                names[name].close()
    return names


def test_readme(index: str, products: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> None:
    hits = run_examples("README.md", index)["hits"]
    titles = {product["id"]: product["title"] for product in products}
    assert len(hits) == 10
    assert all(hit.source["title"] == titles[hit.id] for hit in hits)
    assert "xerox" in titles[hits[0].id].lower()
    assert f"{hits[0].id} " in capsys.readouterr().out


def test_add_to_your_index(index: str, capsys: pytest.CaptureFixture[str]) -> None:
    answer = run_examples("docs/add-to-your-index.md", index)["answer"]
    assert answer.hits
    assert all("xerox" in hit.source["title"].lower() for hit in answer.hits[:3])
    out = capsys.readouterr().out
    assert "'toner'" in out
    assert out.endswith(" hits\n")


def test_upgrade_a_bundle(
    cluster: Cluster, index: str, new_bundle: Bundle, products: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    xerox = [product["id"] for product in products if product["supplier"] == "Xerox"]
    Path("queries.tsv").write_text("q1\tblack toner for xerox\n", encoding="utf-8")
    grades = {product["id"]: 3 if product["id"] in xerox else 0 for product in products}
    rows = "".join(f"q1\t{product}\t{grade}\n" for product, grade in grades.items())
    Path("judgments.tsv").write_text("query_id\tproduct_id\trelevance\n" + rows, encoding="utf-8")
    # Each command of the page runs in its order, up to the section on what needs a new label.
    page = (ROOT / "docs/upgrade-a-bundle.md").read_text(encoding="utf-8").split("## What needs a new label")[0]
    commands = [line for block in re.findall(r"```sh\n(.*?)```", page, flags=re.DOTALL) for line in block.splitlines()]
    compared = commands.index(next(line for line in commands if "evaluate" in line))
    for line in commands[:compared]:
        run_line(line, index)
    names = run_examples("docs/upgrade-a-bundle.md", index)
    assert set(names["found"]["systems"]) == {"v1", "v2"}
    assert re.search(r"^R@10 [\d.]+ [-\d.]+ p = [\d.]+$", capsys.readouterr().out, re.MULTILINE)
    for line in commands[compared:]:
        run_line(line, index)
    attachment = read_attachment(cluster, index)
    assert attachment is not None
    assert (attachment.active, list(attachment.labels)) == ("v2", ["v2"])
    assert attachment.labels["v2"].bundle == new_bundle.id
    assert cluster.count(index, {"exists": {"field": "gram_v1.codes"}}) == 0
    assert run("search", "toner", "--index", index, "--bundle", BUNDLE).code == 0
    assert run("search", "toner", "--index", index).code == 2


def run_line(line: str, index: str) -> None:
    """Run a command of a page, with our index in place of `products`."""
    verb, *words = shlex.split(line, comments=True)
    done = run(*(index if word == "products" else word for word in words))
    assert (verb, done.code) == ("gram-os", 0), f"{line}: {done.err}"
