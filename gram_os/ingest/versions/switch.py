"""Which label of an index is active: promotion and rollback, each with a comparison of both labels first.

A switch changes the mapping's `_meta.gram` and nothing else. The cluster replaces `_meta` as a whole and knows no
condition for it. So it is read right before each write and again behind it, and what others put there meanwhile stays.
One gap remains: a change that lands within the milliseconds between our read and our write is overwritten.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gram_os.cluster.client import Cluster
from gram_os.cluster.labels import Attachment, LabelState, read_attachment, read_attachments, require_label
from gram_os.cluster.stock import carry_out, plan_refresh
from gram_os.errors import ClusterAuthError, ClusterBusyError, IndexUnfitError, InputError
from gram_os.ingest.slices import open_state
from gram_os.ingest.versions.coverage import Coverage, read_coverage

log = logging.getLogger(__name__)

_TRIES: Final = 5
#: How much of what the active label covers another one must cover to take its place.
MIN_SHARE: Final = 0.99

Gram = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class IndexComparison:
    """The label that is active in an index, and the one that shall take its place."""

    index: str
    active: str
    before: Coverage
    after: Coverage

    def explain_gap(self, label: str, min_share: float) -> str | None:
        """Say why the new label covers too little, None when it covers enough."""
        if self.after.share >= min_share * self.before.share:
            return None
        old, new = self.before, self.after
        return (
            f"label '{label}' covers too little of index '{self.index}': {new.with_codes:,} of {new.products:,} "
            f"products have codes ({100 * new.share:.1f} %), and {old.with_codes:,} of {old.products:,} have codes of "
            f"'{self.active}' ({100 * old.share:.1f} %), which is below a share of {min_share:g}; run gram-os backfill "
            f"--index {self.index} --label {label}, or set --min-share lower"
        )


@dataclass(frozen=True, slots=True)
class LabelSwitch:
    """A change of the active label. indices: one comparison for each index, also where the label is active already."""

    label: str
    indices: tuple[IndexComparison, ...]

    @property
    def changed(self) -> tuple[str, ...]:
        """The indices in which another label is, or was, active."""
        return tuple(one.index for one in self.indices if one.active != self.label)

    @property
    def before(self) -> Coverage:
        """The coverage of the label that is replaced, over all indices."""
        return sum((one.before for one in self.indices), Coverage())

    @property
    def after(self) -> Coverage:
        """The coverage of the new label, over all indices."""
        return sum((one.after for one in self.indices), Coverage())


def promote(
    cluster: Cluster,
    name: str,
    label: str,
    *,
    min_share: float = MIN_SHARE,
    show: Callable[[LabelSwitch], None] = lambda _: None,
) -> LabelSwitch:
    """Make a label the active one, in all indices of an alias. Run again after a crash, it finishes.

    min_share: how much of what the active label covers (`Coverage.share`) the new one must cover, 0 to 1. show: called
    with the comparison before anything is refused or changed.

    Raises IndexMissingError. Raises IndexUnfitError when an index has no such label, when the label has another format,
    or another bundle in another index, when documents have its codes of another bundle, and when it covers too little.
    Nothing is changed then.

    >>> from gram_os import Cluster, load_settings
    >>> cluster = Cluster.connect(load_settings().cluster)  # reads OPENSEARCH_URL
    >>> promote(cluster, "products", "v1").changed  # it is active already
    ()
    >>> cluster.close()
    """

    def activate(gram: Gram) -> Gram:
        return {**gram, "active": label, "previous": gram["active"]}

    return _switch(cluster, name, label, activate, min_share, show)


def roll_back(
    cluster: Cluster,
    name: str,
    *,
    min_share: float = MIN_SHARE,
    show: Callable[[LabelSwitch], None] = lambda _: None,
) -> LabelSwitch:
    """Make the label active that was active before the last promotion. Run again after a crash, it finishes.

    Arguments and errors are those of `promote`. Raises IndexUnfitError too when there is no such label, or when it was
    dropped. Documents that were written since then may have codes of the newer label only, so `min_share` holds here
    too.
    """

    def activate(gram: Gram) -> Gram:
        return {**{part: value for part, value in gram.items() if part != "previous"}, "active": label}

    label = _find_previous(cluster, name)
    return _switch(cluster, name, label, activate, min_share, show)


def _switch(
    cluster: Cluster,
    name: str,
    label: str,
    activate: Callable[[Gram], Gram],
    min_share: float,
    show: Callable[[LabelSwitch], None],
) -> LabelSwitch:
    """Compare, refuse, and make the label the active one wherever it is not."""
    if not 0 <= min_share <= 1:
        raise InputError(f"--min-share {min_share:g} must be between 0 and 1, such as {MIN_SHARE}")
    switch = _compare(cluster, name, label)
    show(switch)
    for one in switch.indices:
        gap = one.explain_gap(label, min_share)
        if gap is not None:
            raise IndexUnfitError(gap)

    def change(gram: Gram) -> Gram:
        if label not in gram["labels"]:
            raise IndexUnfitError(f"label '{label}' of index '{name}' was dropped meanwhile")
        return gram if gram["active"] == label else activate(gram)

    for index in switch.changed:
        change_labels(cluster, index, change)
    renew_templates(cluster, name)
    return switch


def change_labels(cluster: Cluster, index: str, change: Callable[[Gram], Gram]) -> bool:
    """Change `_meta.gram` of one index, and return whether there was something to change.

    change: makes the new value of the value as it is; twice is once. What it makes is written until it stands there.
    Raises ClusterBusyError when somebody else takes it out again and again.
    """
    for turn in range(_TRIES):
        (facts,) = cluster.get_indices(index)
        meta = facts.mapping.get("_meta", {})
        gram = meta.get("gram")
        after = None if not gram else change(gram)
        if after == gram or after is None:
            return turn > 0
        cluster.put_mapping(facts.name, {"_meta": {**meta, "gram": after}})
    raise ClusterBusyError(f"index '{index}': somebody else changes _meta of its mapping all the time; try again later")


def renew_templates(cluster: Cluster, name: str) -> None:
    """Bring the labels of an index to our templates for new indices. A user without the right to do so is told."""
    for facts in cluster.get_indices(name):
        if facts.mapping.get("_meta", {}).get("gram"):
            try:
                carry_out(cluster, plan_refresh(cluster, facts))
            except ClusterAuthError as error:
                log.warning("%s: templates with its labels, if there are any, are not renewed (%s)", facts.name, error)


def _compare(cluster: Cluster, name: str, label: str) -> LabelSwitch:
    """Compare a label with the active one of each index. Raises IndexUnfitError when an index has no such label."""
    cluster.refresh(name)
    states = {facts.name: require_label(cluster, facts.name, label) for facts in cluster.get_indices(name)}
    first = next(iter(states))
    for index, state in states.items():
        if (state.bundle, state.title_field) != (states[first].bundle, states[first].title_field):
            raise IndexUnfitError(
                f"label '{label}' belongs to bundle {states[first].bundle} and title field "
                f"'{states[first].title_field}' in index '{first}', and to {state.bundle} and '{state.title_field}' in "
                f"'{index}'; name one of the indices"
            )
    other = _find_other_bundle(cluster, states[first], {name, *states})
    if other is not None:
        raise IndexUnfitError(
            f"label '{label}' of index '{name}' belongs to bundle {states[first].bundle}, and documents have its codes "
            f"of bundle {other}; run: gram-os backfill --index {name} --label {label}"
        )
    compared = []
    for index, state in states.items():
        attachment = read_attachment(cluster, index)
        assert attachment is not None  # noqa: S101  (require_label has read it)
        after = read_coverage(cluster, index, state)
        active = attachment.labels.get(attachment.active)
        before = Coverage() if active is None else after if active == state else read_coverage(cluster, index, active)
        compared.append(IndexComparison(index, attachment.active, before, after))
    return LabelSwitch(label, tuple(compared))


def _find_other_bundle(cluster: Cluster, state: LabelState, names: Collection[str]) -> str | None:
    """Return another bundle that coded documents under the label, when the label's own has not coded all since then.

    The label had that bundle before: it was dropped, not to the end, and attached anew.
    """
    query = {"bool": {"filter": [{"term": {"kind": "backfill"}}, {"term": {"label": state.label}}]}}
    jobs = [record.body for record in open_state(cluster).find(query) if record.body["name"] in names]
    if any(job["bundle"] == state.bundle and job["done"] for job in jobs):
        return None
    return next((str(job["bundle"]) for job in jobs if job["bundle"] != state.bundle), None)


def _find_previous(cluster: Cluster, name: str) -> str:
    """Return the label to go back to.

    A rollback that was interrupted has left some indices of an alias with it as the active label. A promotion that was
    interrupted has left some without a change.
    """
    found = read_attachments(cluster, name)
    known: dict[str, Attachment] = {}
    for index, attachment in found.items():
        if attachment is None:
            raise IndexUnfitError(f"index '{index}' has no codes yet; run: gram-os attach --index {index}")
        known[index] = attachment
    wanted = {one.previous for one in known.values() if one.previous and one.previous != one.active}
    fitting = [label for label in wanted if all(label in (one.active, one.previous) for one in known.values())]
    if not wanted:
        raise IndexUnfitError(f"index '{name}' has no previous label: no promotion to undo; see gram-os label list")
    if len(fitting) != 1:
        parts = ", ".join(f"'{one.previous}' in '{index}'" for index, one in known.items())
        raise IndexUnfitError(f"the indices of '{name}' have no previous label in common ({parts}); use label promote")
    for index, attachment in known.items():
        if fitting[0] not in attachment.labels:
            kept = ", ".join(attachment.labels)
            raise IndexUnfitError(f"the previous label '{fitting[0]}' of index '{index}' was dropped; it has {kept}")
    return fitting[0]
