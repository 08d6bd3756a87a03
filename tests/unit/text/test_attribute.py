"""The label space: order, counts, and that both data sets' types lead to one of the 16."""

from __future__ import annotations

import pytest

from gram_os.text.attribute import (
    HEAD_WIDTH,
    OA_MINE_TYPES,
    QUERYNER_TYPES,
    SIDE_LABELS,
    AttributeType,
    Side,
    bio_labels,
    head_columns,
)


def test_sixteen_types_of_the_paper() -> None:
    assert len(AttributeType) == 16
    assert AttributeType("colour") is AttributeType.COLOUR


def test_data_sets_are_mapped_whole() -> None:
    assert len(QUERYNER_TYPES) == 17
    assert len(OA_MINE_TYPES) == 51
    assert set(QUERYNER_TYPES.values()) | set(OA_MINE_TYPES.values()) <= set(AttributeType)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("creator", AttributeType.BRAND),
        ("core_product_type", AttributeType.PRODUCT_TYPE),
        ("time", AttributeType.APPLICABLE_TIME),
    ],
)
def test_queryner_types(name: str, kind: AttributeType) -> None:
    assert QUERYNER_TYPES[name] is kind


def test_labels_alternate_begin_and_inside() -> None:
    labels = bio_labels(QUERYNER_TYPES)
    assert len(labels) == 1 + 2 * 17
    assert labels[0] == "O"
    assert all(label.startswith("B-") for label in labels[1::2])
    assert [label[2:] for label in labels[1::2]] == [label[2:] for label in labels[2::2]]


def test_columns_of_the_two_sides_cover_the_head() -> None:
    query, title = head_columns(Side.QUERY), head_columns(Side.TITLE)
    assert [*range(HEAD_WIDTH)[query], *range(HEAD_WIDTH)[title]] == list(range(35 + 33))
    assert len(SIDE_LABELS[Side.QUERY]) == query.stop - query.start
    assert len(SIDE_LABELS[Side.TITLE]) == title.stop - title.start


def test_column_order_is_frozen() -> None:
    # A bundle's head was trained for this order: a change here needs a new bundle.
    assert SIDE_LABELS[Side.QUERY][:5] == (
        "O",
        "B-core_product_type",
        "I-core_product_type",
        "B-modifier",
        "I-modifier",
    )
    assert SIDE_LABELS[Side.QUERY][-1] == "I-product_number"
    assert SIDE_LABELS[Side.TITLE][1::2] == tuple(f"B-{kind.value}" for kind in AttributeType)
