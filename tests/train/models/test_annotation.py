"""Readers of QueryNER's and OA-Mine's forms, and exact-span counts against seqeval."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from seqeval.metrics import f1_score

from gram_os.errors import FileFormatError
from gram_os.text.attribute import QUERYNER_TYPES, Side
from gram_os.train.models.annotation import Mark, mark_tokens, mark_values, read_marked, score_marks


def test_tokens_become_places() -> None:
    marked = mark_tokens(["12.9", "ipad", "case"], ["B-UoM", "B-product_name", "B-core_product_type"])
    assert marked.text == "12.9 ipad case"
    assert marked.side is Side.QUERY
    assert marked.marks == (Mark(0, 4, "UoM"), Mark(5, 9, "product_name"), Mark(10, 14, "core_product_type"))


def test_inside_joins_only_its_own_type() -> None:
    marked = mark_tokens(["a", "b", "c"], ["B-color", "I-color", "I-shape"])
    assert marked.marks == (Mark(0, 3, "color"), Mark(4, 5, "shape"))


def test_values_take_word_borders_and_free_places() -> None:
    title = "Pack of 6 Women's Shoe, Men 6"
    marked = mark_values(
        title, {"Pack size": {"Pack of 6 ": 1}, "Gender": {"Men": 1}, "Size": {"6": 1}, "Color": {"Red": 1}}
    )
    found = [(title[mark.start : mark.end], mark.label, mark.start) for mark in marked.marks]
    assert found == [
        ("Pack of 6", "sales_specification", 0),
        ("Men", "audience", 24),
        ("6", "technical_specification", 28),
    ]


def test_file_of_both_forms(tmp_path: Path) -> None:
    path = tmp_path / "both.jsonl"
    rows = [
        {"tokens": ["x"], "tags": ["O"]},
        {"input": "Nike", "category": "Shoes", "target_scores": {"Brand": {"Nike": 1}}},
    ]
    path.write_text("\n\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert [(row.side, len(row.marks)) for row in read_marked(path)] == [(Side.QUERY, 0), (Side.TITLE, 1)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "has neither"),
        ('{"tokens": ["a"], "tags": []}', "1 tokens but 0 tags"),
        ('{"tokens": ["a"]}', "'tags'"),
        ('{"tokens": ["a"], "tags": ["B-smell"]}', "unknown tag 'B-smell'"),
        ('{"input": "a", "target_scores": {"Smell": {"a": 1}}}', "Smell"),
    ],
)
def test_bad_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"tokens": ["a"], "tags": ["O"]}\n' + line, encoding="utf-8")
    with pytest.raises(FileFormatError, match=r"line 2") as caught:
        read_marked(path)
    assert message in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\xff"])
def test_empty_and_foreign_files(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "odd.jsonl"
    path.write_bytes(content)
    with pytest.raises(FileFormatError):
        read_marked(path)


def test_counts_by_hand() -> None:
    scores = score_marks(
        [[Mark(0, 1, "a"), Mark(2, 3, "b")], [Mark(0, 1, "a")]],
        [[Mark(0, 1, "a"), Mark(2, 4, "b")], []],
    )
    assert (scores["micro"].correct, scores["micro"].found, scores["micro"].marked) == (1, 3, 2)
    assert scores["micro"].f1 == 2 * 1 / (3 + 2)
    assert scores["a"].precision == 1 / 2
    assert scores["a"].recall == 1.0
    assert scores["b"].f1 == 0.0


def test_f1_equals_seqeval_on_random_tags() -> None:
    rng = random.Random(1)
    kinds = list(QUERYNER_TYPES)[:3]
    tags = ["O", *(f"{mark}-{kind}" for kind in kinds for mark in "BI")]
    gold = [rng.choices(tags, k=rng.randint(1, 8)) for _ in range(200)]
    ours = [[tag if rng.random() < 0.7 else rng.choice(tags) for tag in row] for row in gold]

    def marks(rows: list[list[str]]) -> list[tuple[Mark, ...]]:
        return [mark_tokens(["w"] * len(row), row).marks for row in rows]

    assert score_marks(marks(ours), marks(gold))["micro"].f1 == pytest.approx(f1_score(gold, ours), abs=1e-12)
