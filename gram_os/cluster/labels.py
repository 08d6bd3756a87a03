"""The labels of an index: the bundle and the title field of each, and which one is active.

They stand in the mapping's `_meta.gram`, beside what others keep in `_meta`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gram_os.cluster.client import Cluster
from gram_os.cluster.dsl import build_code_mapping, code_field
from gram_os.errors import BundleError, IndexUnfitError, InputError

_LABEL = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_TEXTS = ("text", "match_only_text", "search_as_you_type")


@dataclass(frozen=True, slots=True)
class LabelState:
    """One label of an index: the id of the bundle that makes its codes, and the field with the titles."""

    label: str
    bundle: str
    title_field: str


@dataclass(frozen=True, slots=True)
class Attachment:
    """All labels of an index. Searches use the active one."""

    active: str
    labels: Mapping[str, LabelState]


def read_attachment(cluster: Cluster, index: str) -> Attachment | None:
    """Return the labels that `attach` wrote into the index, or None.

    Raises IndexMissingError, and IndexUnfitError when `_meta.gram` is not what `attach` writes.
    """
    return _parse(cluster.get_mapping(index), index)


def require_label(cluster: Cluster, index: str, label: str | None = None) -> LabelState:
    """Return a label of an index, the active one by default. Raises IndexUnfitError when it is not there."""
    attachment = read_attachment(cluster, index)
    if attachment is None:
        raise IndexUnfitError(f"index '{index}' has no codes yet; run: gram-os attach --index {index}")
    label = label or attachment.active
    if label not in attachment.labels:
        known = ", ".join(attachment.labels)
        raise IndexUnfitError(f"index '{index}' has no label '{label}', only {known}; run gram-os attach with --label")
    return attachment.labels[label]


def require_bundle(state: LabelState, index: str, bundle_id: str, path: Path) -> None:
    """Check that a bundle is the label's. Codes of another bundle would not meet the codes of the documents.

    path: the bundle's folder, for the text of the error. Raises BundleError.
    """
    if bundle_id != state.bundle:
        raise BundleError(
            f"label '{state.label}' of index '{index}' belongs to bundle {state.bundle}, not to {bundle_id} "
            f"({path}; a release of gram-os or PyStemmer with other text rules changes the id too); give the right one "
            "with --bundle, or attach a new --label for this one"
        )


def build_attachment(mapping: Mapping[str, Any], index: str, state: LabelState) -> dict[str, Any]:
    """Build the mapping body that adds a label to an index. The first label becomes the active one.

    Raises InputError for a label that cannot be part of a field name. Raises IndexUnfitError when the title field is
    missing or is no text, when the label exists with another bundle or title field, or when its field belongs to
    someone else.
    """
    if not _LABEL.fullmatch(state.label):
        raise InputError(f"label '{state.label}' must be 1 to 64 of a-z, 0-9, '_' and '-', a letter or digit first")
    _check_title(mapping.get("properties", {}), index, state.title_field)
    _check_free(mapping.get("properties", {}), index, state.label)
    before = _parse(mapping, index)
    known = before.labels.get(state.label) if before else None
    if known is not None and known != state:
        raise IndexUnfitError(
            f"index '{index}' has label '{state.label}' with bundle {known.bundle} and title field "
            f"'{known.title_field}', not bundle {state.bundle} and '{state.title_field}'; choose another --label"
        )
    labels = {**(before.labels if before else {}), state.label: state}
    gram = {
        "active": before.active if before else state.label,
        "labels": {kept.label: {"bundle": kept.bundle, "title_field": kept.title_field} for kept in labels.values()},
    }
    return {
        "_meta": {**mapping.get("_meta", {}), "gram": gram},
        "properties": build_code_mapping(state.label),
    }


def attach(cluster: Cluster, index: str, state: LabelState) -> None:
    """Add a label's fields to the mapping of an existing index. Doing it twice changes nothing.

    Raises what `build_attachment` raises, and IndexMissingError.
    """
    cluster.put_mapping(index, build_attachment(cluster.get_mapping(index), index, state))


def _parse(mapping: Mapping[str, Any], index: str) -> Attachment | None:
    gram = mapping.get("_meta", {}).get("gram")
    if not gram:
        return None
    try:
        labels = {name: LabelState(name, kept["bundle"], kept["title_field"]) for name, kept in gram["labels"].items()}
        return Attachment(gram["active"], labels)
    except (AttributeError, KeyError, TypeError) as error:
        raise IndexUnfitError(
            f"index '{index}': _meta.gram of its mapping is not what gram-os attach writes: {str(gram)[:100]}; "
            "take it out of the mapping's _meta, then attach again"
        ) from error


def _check_free(properties: Mapping[str, Any], index: str, label: str) -> None:
    field = code_field(label)
    wanted = build_code_mapping(label)[field]["properties"]
    found = properties.get(field, {"properties": {}})
    parts = found.get("properties", {})
    if found.get("type", "object") != "object" or any(
        parts.get(name, part).get("type") != part["type"] for name, part in wanted.items()
    ):
        raise IndexUnfitError(
            f"index '{index}' has a field '{field}' already, and not as codes need it; choose another --label, "
            "or reindex without that field"
        )


def _check_title(properties: Mapping[str, Any], index: str, title_field: str) -> None:
    found: Mapping[str, Any] = {"properties": properties}
    for part in title_field.split("."):
        found = found.get("properties", {}).get(part, {})
    if found.get("type") in _TEXTS:
        return
    texts = sorted(n for n, f in properties.items() if f.get("type") in _TEXTS and not n.startswith(code_field("")))
    near = difflib.get_close_matches(title_field, texts, n=5) or texts[:5]
    what = f"is of type {found['type']}, no text" if "type" in found else "does not exist"
    hint = f"; its text fields: {', '.join(near)}" if near else "; it has no text field at all"
    raise IndexUnfitError(f"index '{index}': field '{title_field}' {what}{hint}; name the title with --title-field")
