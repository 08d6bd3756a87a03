"""The labels of an index: the bundle and the title field of each, and which one is active.

A label has the format of the gram-os that attached it. Another format has other fields, so it is refused with the cure.
The labels stand in the mapping's `_meta.gram`, beside what others keep in `_meta`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from gram_os.cluster.checks import Check, check_index, require_fit
from gram_os.cluster.client import Cluster
from gram_os.cluster.dsl import build_code_mapping
from gram_os.cluster.index_checks import cure_older
from gram_os.cluster.mapping import find_title
from gram_os.errors import BundleError, IndexUnfitError, InputError

#: The format of a label's fields. Format 1 has all weighted codes in `codes`, and no `attributes`.
LABEL_FORMAT: Final = 2

_LABEL = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class LabelState:
    """One label of an index.

    bundle: the id of the bundle that makes its codes. title_field: the field of `_source` that holds the titles.
    search_field: the text field that BM25 searches, None when it is the title field itself. products: the clause that
    tells products from other documents, None when all documents are products. format: see `LABEL_FORMAT`.
    coded_fields: the fields that codes are made from, beside the title. None when an older gram-os attached the label.
    Two states that differ in them alone are equal, because the bundle names the same fields.
    """

    label: str
    bundle: str
    title_field: str
    search_field: str | None = None
    products: Mapping[str, Any] | None = None
    format: int = LABEL_FORMAT
    coded_fields: tuple[str, ...] | None = field(default=None, compare=False)

    @property
    def text_field(self) -> str:
        """The text field that BM25 searches."""
        return self.search_field or self.title_field

    @property
    def product_query(self) -> Mapping[str, Any]:
        """The query that finds the products."""
        return self.products or {"match_all": {}}


@dataclass(frozen=True, slots=True)
class Attachment:
    """All labels of an index. Searches use the active one.

    previous: the label that was active before the last promotion. None when there was none, or when it was undone.
    """

    active: str
    labels: Mapping[str, LabelState]
    previous: str | None = field(default=None, compare=False)


def read_attachment(cluster: Cluster, index: str) -> Attachment | None:
    """Return the labels that `attach` wrote into the index, or None.

    An alias may stand for several indices when they have the same labels. Raises IndexMissingError. Raises
    IndexUnfitError when the indices of an alias differ, or when `_meta.gram` is not what `attach` writes.
    """
    found = read_attachments(cluster, index)
    attached = [name for name, attachment in found.items() if attachment is not None]
    if not attached:
        return None
    known = found[attached[0]]
    for name, attachment in found.items():
        if attachment and known and attachment.labels == known.labels and attachment.active != known.active:
            raise IndexUnfitError(
                f"'{index}' stands for {len(found)} indices: '{attached[0]}' has the active label '{known.active}', "
                f"and '{name}' has '{attachment.active}'; choose one: gram-os label promote LABEL --index {index}"
            )
        if attachment != known:
            raise IndexUnfitError(
                f"'{index}' stands for {len(found)} indices, and '{name}' does not have the labels of '{attached[0]}'; "
                f"attach it with the same bundle and title: gram-os attach --index {name}"
            )
    return known


def read_attachments(cluster: Cluster, name: str) -> dict[str, Attachment | None]:
    """Return the labels of an index, or of each index of an alias by its own name, None for one without labels.

    Raises IndexMissingError, and IndexUnfitError when `_meta.gram` is not what `attach` writes.
    """
    return {facts.name: _parse(facts.mapping, facts.name) for facts in cluster.get_indices(name)}


def require_label(cluster: Cluster, index: str, label: str | None = None) -> LabelState:
    """Return a label of an index, the active one by default.

    Raises IndexUnfitError when it is not there, and when it has another format than this gram-os reads and writes.
    """
    attachment = read_attachment(cluster, index)
    if attachment is None:
        raise IndexUnfitError(f"index '{index}' has no codes yet; run: gram-os attach --index {index}")
    label = label or attachment.active
    if label not in attachment.labels:
        known = ", ".join(attachment.labels)
        raise IndexUnfitError(f"index '{index}' has no label '{label}', only {known}; run gram-os attach with --label")
    state = attachment.labels[label]
    _require_format(state, index)
    return state


def _require_format(state: LabelState, index: str) -> None:
    if state.format > LABEL_FORMAT:
        raise IndexUnfitError(
            f"label '{state.label}' of index '{index}' was attached by a newer gram-os (its fields have format "
            f"{state.format}, this version reads {LABEL_FORMAT}); upgrade gram-os"
        )
    if state.format < LABEL_FORMAT:
        raise IndexUnfitError(
            f"label '{state.label}' of index '{index}' was attached by an older gram-os (its fields have format "
            f"{state.format}, this version reads {LABEL_FORMAT}); {cure_older(index)}"
        )


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

    The title may be named by itself or by the text field below it (`find_title`). A label that is there keeps
    its `products` and `coded_fields` unless `state` brings others. Raises InputError for a label that cannot be part of
    a field name. Raises IndexUnfitError when the label exists with another bundle, title field or format.
    """
    if not _LABEL.fullmatch(state.label):
        raise InputError(f"label '{state.label}' must be 1 to 64 of a-z, 0-9, '_' and '-', a letter or digit first")
    title, searched = find_title(mapping, state.title_field) or (state.title_field, state.title_field)
    state = replace(state, title_field=title, search_field=None if searched == title else searched)
    before = _parse(mapping, index)
    known = before.labels.get(state.label) if before else None
    if known is not None:
        _require_format(known, index)
    if known is not None and (known.bundle, known.title_field) != (state.bundle, state.title_field):
        raise IndexUnfitError(
            f"index '{index}' has label '{state.label}' with bundle {known.bundle} and title field "
            f"'{known.title_field}', not bundle {state.bundle} and '{state.title_field}'; choose another --label"
        )
    if known is not None and state.products is None:
        state = replace(state, products=known.products)
    if known is not None and state.coded_fields is None:
        state = replace(state, coded_fields=known.coded_fields)
    labels = {**(before.labels if before else {}), state.label: state}
    gram: dict[str, Any] = {
        "active": before.active if before else state.label,
        "labels": {kept.label: _write(kept) for kept in labels.values()},
    }
    if before and before.previous in before.labels:
        gram["previous"] = before.previous
    return {
        "_meta": {**mapping.get("_meta", {}), "gram": gram},
        "properties": build_code_mapping(state.label),
    }


def attach(cluster: Cluster, index: str, state: LabelState) -> tuple[Check, ...]:
    """Add a label's fields to the mapping of an existing index, and return the checks. Twice changes nothing.

    Raises IndexUnfitError when a check refuses the index (`gram_os.cluster.checks`). Raises what `build_attachment`
    raises, and IndexMissingError.
    """
    checks = check_index(cluster, index, state.label, state.title_field, state.products)
    require_fit(checks, index)
    (facts,) = cluster.get_indices(index)
    cluster.put_mapping(facts.name, build_attachment(facts.mapping, index, state))
    return checks


def _write(state: LabelState) -> dict[str, Any]:
    """Return a label as `_meta.gram` keeps it. What is None is left out."""
    kept = {
        "format": state.format if state.format > 1 else None,
        "bundle": state.bundle,
        "title_field": state.title_field,
        "search_field": state.search_field,
        "products": state.products,
        "coded_fields": None if state.coded_fields is None else list(state.coded_fields),
    }
    return {name: value for name, value in kept.items() if value is not None}


def _parse(mapping: Mapping[str, Any], index: str) -> Attachment | None:
    gram = mapping.get("_meta", {}).get("gram")
    if not gram:
        return None
    try:
        labels = {
            name: LabelState(
                name,
                kept["bundle"],
                kept["title_field"],
                kept.get("search_field"),
                kept.get("products"),
                int(kept.get("format", 1)),
                _read_names(kept.get("coded_fields")),
            )
            for name, kept in gram["labels"].items()
        }
        return Attachment(gram["active"], labels, gram.get("previous"))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise IndexUnfitError(
            f"index '{index}': _meta.gram of its mapping is not what gram-os attach writes: {str(gram)[:100]}; "
            "take it out of the mapping's _meta, then attach again"
        ) from error


def _read_names(value: object) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise TypeError
    return tuple(map(str, value))
