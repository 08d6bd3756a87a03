"""What `attach` puts into a mapping, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gram_os.cluster.dsl import build_code_mapping
from gram_os.cluster.labels import LabelState, build_attachment
from gram_os.errors import IndexUnfitError, InputError

V1 = LabelState("v1", "aaaaaaaaaaaa", "title")
TEXT = {"type": "text"}


def _mapping(*labels: LabelState, active: str = "v1", **meta: object) -> dict[str, Any]:
    """A mapping as the cluster gives it back, with the labels attached."""
    mapping: dict[str, Any] = {"properties": {"title": TEXT, "name": TEXT, "price": {"type": "float"}}}
    if labels:
        known = {
            s.label: ({"format": s.format} if s.format > 1 else {}) | {"bundle": s.bundle, "title_field": s.title_field}
            for s in labels
        }
        meta["gram"] = {"active": active, "labels": known}
    return {**mapping, "_meta": meta} if meta else mapping


def test_first_label_becomes_the_active_one() -> None:
    body = build_attachment(_mapping(), "shop", V1)
    assert body["_meta"] == {
        "gram": {"active": "v1", "labels": {"v1": {"format": 2, "bundle": "aaaaaaaaaaaa", "title_field": "title"}}}
    }
    assert list(body["properties"]) == ["gram_v1"]  # nobody else's field is sent back


def test_others_metadata_stays() -> None:
    # Putting a mapping replaces `_meta` as a whole.
    body = build_attachment(_mapping(owner="search team", tags={"a": [1]}), "shop", V1)
    assert body["_meta"]["owner"] == "search team"
    assert body["_meta"]["tags"] == {"a": [1]}


def test_second_label_stands_beside_the_first_which_stays_active() -> None:
    second = LabelState("v2", "bbbbbbbbbbbb", "name")
    body = build_attachment(_mapping(V1, owner="x"), "shop", second)
    assert body["_meta"]["gram"] == {
        "active": "v1",
        "labels": {
            "v1": {"format": 2, "bundle": "aaaaaaaaaaaa", "title_field": "title"},
            "v2": {"format": 2, "bundle": "bbbbbbbbbbbb", "title_field": "name"},
        },
    }
    assert body["_meta"]["owner"] == "x"
    assert list(body["properties"]) == ["gram_v2"]


def test_active_label_is_not_changed_by_attaching_again() -> None:
    second = LabelState("v2", "bbbbbbbbbbbb", "title")
    body = build_attachment(_mapping(V1, second, active="v2"), "shop", V1)
    assert body["_meta"]["gram"]["active"] == "v2"
    assert set(body["_meta"]["gram"]["labels"]) == {"v1", "v2"}


@pytest.mark.parametrize("changed", [LabelState("v1", "b" * 12, "title"), LabelState("v1", "a" * 12, "name")])
def test_label_with_another_bundle_or_title_is_refused(changed: LabelState) -> None:
    with pytest.raises(IndexUnfitError) as caught:
        build_attachment(_mapping(V1), "shop", changed)
    assert all(word in str(caught.value) for word in ("'shop'", "'v1'", "a" * 12, changed.bundle, "--label"))


@pytest.mark.parametrize("label", ["", "V1", "-v1", "_v1", "a b", "a.b", "ä", "a" * 65, "v1\n"])
def test_label_that_cannot_be_a_field_name(label: str) -> None:
    with pytest.raises(InputError, match="must be 1 to 64 of a-z"):
        build_attachment(_mapping(), "shop", LabelState(label, "a" * 12, "title"))


@pytest.mark.parametrize("label", ["1", "v1", "a-b_c", "a" * 64])
def test_labels_that_serve(label: str) -> None:
    assert f"gram_{label}" in build_attachment(_mapping(), "shop", LabelState(label, "a" * 12, "title"))["properties"]


def test_label_whose_fields_miss_a_part_gets_it() -> None:
    fields = build_code_mapping("v1")
    del fields["gram_v1"]["properties"]["weights"]
    body = build_attachment({**_mapping(V1), "properties": {"title": TEXT, **fields}}, "shop", V1)
    assert body["properties"]["gram_v1"]["properties"]["weights"] == {"type": "rank_features"}


OLDER = replace(V1, format=1)  # its `_meta` says nothing of a format


def test_label_of_an_older_gram_os_is_refused_with_the_cure() -> None:
    with pytest.raises(IndexUnfitError) as caught:
        build_attachment(_mapping(OLDER), "shop", V1)
    for words in (
        "label 'v1'",
        "'shop'",
        "older gram-os",
        "format 1",
        "upgrade-a-bundle.md",
        "--index shop --label NEW",
    ):
        assert words in str(caught.value)


def test_label_of_a_newer_gram_os_is_refused_and_named() -> None:
    with pytest.raises(IndexUnfitError, match=r"attached by a newer gram-os .*format 3, this version reads 2.*upgrade"):
        build_attachment(_mapping(replace(V1, format=3)), "shop", V1)


def test_new_label_stands_beside_an_older_one_which_stays_as_it_is() -> None:
    second = LabelState("v2", "bbbbbbbbbbbb", "title")
    gram = build_attachment(_mapping(OLDER), "shop", second)["_meta"]["gram"]
    assert gram == {
        "active": "v1",
        "labels": {
            "v1": {"bundle": "aaaaaaaaaaaa", "title_field": "title"},
            "v2": {"format": 2, "bundle": "bbbbbbbbbbbb", "title_field": "title"},
        },
    }


@pytest.mark.parametrize("named", ["name", "name.analyzed"])
def test_title_that_is_searched_by_a_field_below_it(named: str) -> None:
    name = {"type": "keyword", "fields": {"analyzed": {"type": "text"}}}
    body = build_attachment({"properties": {"name": name}}, "shop", LabelState("v1", "a" * 12, named))
    assert body["_meta"]["gram"]["labels"]["v1"] == {
        "format": 2, "bundle": "a" * 12, "title_field": "name", "search_field": "name.analyzed",
    }  # fmt: skip


def test_products_of_a_label_are_kept_until_others_are_given() -> None:
    first, second = {"term": {"kind": "product"}}, {"term": {"kind": "article"}}
    body = build_attachment(_mapping(), "shop", replace(V1, products=first))
    attached = {**_mapping(), "_meta": body["_meta"]}
    for given, kept in ((None, first), (second, second)):
        again = build_attachment(attached, "shop", replace(V1, products=given))
        assert again["_meta"]["gram"]["labels"]["v1"]["products"] == kept


@pytest.mark.parametrize(("previous", "kept"), [("v1", {"previous": "v1"}), ("v0", {}), (None, {})])
def test_previous_label_is_kept_while_it_is_there(previous: str | None, kept: dict[str, str]) -> None:
    body = build_attachment(_mapping(V1), "shop", LabelState("v2", "bbbbbbbbbbbb", "title"))
    gram = {**body["_meta"]["gram"], "active": "v2", **({} if previous is None else {"previous": previous})}
    again = build_attachment({**_mapping(), "_meta": {"gram": gram}}, "shop", LabelState("v0", "c" * 12, "title"))
    assert {name: value for name, value in again["_meta"]["gram"].items() if name != "labels"} == {
        "active": "v2",
        **kept,
    }


@pytest.mark.parametrize(
    "gram",
    [
        "v1",
        ["v1"],
        {"active": "v1"},
        {"active": "v1", "labels": {"v1": {}}},
        {"labels": {}},
        {"active": "v1", "labels": {"v1": {"bundle": "a", "title_field": "b", "format": "new"}}},
    ],
)
def test_metadata_of_this_name_that_is_not_ours(gram: object) -> None:
    with pytest.raises(IndexUnfitError, match=r"_meta\.gram"):
        build_attachment(_mapping() | {"_meta": {"gram": gram}}, "shop", V1)
