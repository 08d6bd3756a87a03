"""Parts of a cluster that work without gram-os: templates for new indices, and an ingest pipeline of stock processors.

A component template brings the code fields and the labels to every new index of a pattern. The ingest pipeline keeps a
hash of each title, and marks a document whose title is not the one that its codes were made from. Builders are pure. A
plan holds requests, and touches nothing that is not ours: what the owner of the cluster has to do stands in it as well.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final
from urllib.parse import quote

from gram_os.cluster.client import Cluster
from gram_os.cluster.dsl import code_field
from gram_os.cluster.facts import IndexFacts
from gram_os.cluster.refusals import parse_version
from gram_os.errors import IndexUnfitError, InputError

#: The field with the hash of a document's title as it is now. The pipeline writes it.
TITLE_HASH: Final = "gram_title_hash"
#: The part of a label's field with the hash of the title that its codes were made from. gram-os copies it.
CODED_HASH: Final = "title_hash"

_KEYWORD: Final = {"type": "keyword", "index": False}  # compared and shown by its doc values
_OURS: Final = "gram_os"  # in `_meta` of our templates
_PREFIX: Final = "gram-"
_FINGERPRINT_VERSION: Final = (2, 16)
_DEFAULT_PIPELINE: Final = "index.default_pipeline"
_NO_PIPELINE: Final = "_none"
# The lowest there is. A template that the shop adds later wins as soon as it gives a priority at all. One without a
# priority is refused with our template's name, where a higher priority of ours would hide it without a word.
_PRIORITY: Final = 0

# For each label: when the codes know the title that they were made from, and it is not the one of now, the document
# counts as uncoded. The codes stay until new ones come.
_MARK: Final = (
    "for (def field : ctx.entrySet()) { "
    "if (field.getKey().startsWith('gram_') && field.getValue() instanceof Map) { "
    f"def coded = field.getValue().get('{CODED_HASH}'); "
    f"if (coded != null && coded != ctx.{TITLE_HASH}) {{ field.getValue().remove('source'); }} }} }}"
)


@dataclass(frozen=True, slots=True)
class Request:
    """A request to the cluster. path: with its names quoted."""

    method: str
    path: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done.

    requests: ours to send, in order. notes: sentences on what stands in the way. by_hand: the requests that the owner
    of the cluster may send, since they change what is not ours.
    """

    requests: Sequence[Request]
    notes: Sequence[str] = ()
    by_hand: Sequence[Request] = ()


@dataclass(frozen=True, slots=True)
class ShopTemplate:
    """An index template that is on the cluster. is_legacy: one of `_template`, which knows no components."""

    name: str
    patterns: tuple[str, ...]
    body: Mapping[str, Any]
    is_legacy: bool = False


def carry_out(cluster: Cluster, plan: Plan) -> None:
    """Send the requests of a plan. Raises what `Cluster.request` raises."""
    for request in plan.requests:
        cluster.request(request.method, request.path, request.body)


# Templates


def template_name(pattern: str) -> str:
    """Return the name of our templates for a pattern of index names. Raises InputError for a pattern of all indices.

    >>> template_name("products-*")
    'gram-products-any'
    """
    if not re.fullmatch(r"[a-z0-9*][a-z0-9*_.+-]*", pattern) or not pattern.strip("*._-+"):
        raise InputError(f"pattern '{pattern}': name the indices of the catalogue, such as 'products-*'")
    return _PREFIX + pattern.replace("*", "any")


def build_component_template(
    mapping: Mapping[str, Any], pattern: str, index: str, pipeline: str | None = None
) -> dict[str, Any]:
    """Build the component template that brings an index's labels to new indices.

    mapping: of an index with labels. All of them are in one component, since the cluster merges the `_meta` of several:
    the label that is active would be that of the last component. index: its name, kept with the pattern so that
    `plan_refresh` finds the template. pipeline: the default pipeline of new indices.
    """
    gram = mapping["_meta"]["gram"]
    fields = [code_field(label) for label in gram["labels"]]
    properties = {name: mapping["properties"][name] for name in (*fields, TITLE_HASH) if name in mapping["properties"]}
    settings = {"settings": {"index": {"default_pipeline": pipeline}}} if pipeline else {}
    return {
        "template": {**settings, "mappings": {"_meta": {"gram": gram}, "properties": properties}},
        "_meta": {_OURS: {"index_patterns": [pattern], "index": index}},
    }


def build_index_template(pattern: str) -> dict[str, Any]:
    """Build the index template that gives our component to the indices of a pattern."""
    return {
        "index_patterns": [pattern],
        "priority": _PRIORITY,
        "composed_of": [template_name(pattern)],
        "template": {},
        "_meta": {_OURS: {"index_patterns": [pattern]}},
    }


def plan_templates(cluster: Cluster, facts: IndexFacts, pattern: str) -> Plan:
    """Plan the templates for new indices of a pattern, with the labels of an index.

    Index templates do not merge with each other: the one with the highest priority wins. So ours is put only when no
    other matches. A component can be part of any.

    Raises InputError for a pattern that is none, and ClusterError.
    """
    name = template_name(pattern)
    component = build_component_template(facts.mapping, pattern, facts.name, _own_pipeline(facts))
    requests = [Request("PUT", f"/_component_template/{name}", component)]
    others = [found for found in find_templates(cluster, pattern) if found.name != name]
    matching = [found for found in others if not found.is_legacy]
    if matching:
        lacking = [found for found in matching if name not in found.body.get("composed_of", [])]
        notes = [
            f"index template '{found.name}' ({', '.join(found.patterns)}) matches '{pattern}'" for found in lacking
        ]
        if not lacking:
            notes = [f"index template '{found.name}' has '{name}' already" for found in matching]
        return Plan(requests, notes, [_add_component(found, name) for found in lacking])
    if others:
        legacy = {"index_patterns": [pattern], "order": 0, **component["template"]}
        notes = [
            f"template '{found.name}' of the old kind (_template; {', '.join(found.patterns)}) matches '{pattern}'; an "
            "index template of the new kind would switch it off"
            for found in others
        ]
        return Plan(requests, notes, [Request("PUT", f"/_template/{name}", legacy)])
    return Plan([*requests, Request("PUT", f"/_index_template/{name}", build_index_template(pattern))])


def plan_refresh(cluster: Cluster, facts: IndexFacts, *, but: str | None = None) -> Plan:
    """Plan to bring the labels of an index to the component templates that were made from it, or that match its name.

    To be carried out whenever the labels of an index change. but: a pattern to leave out. Templates of `_template` are
    not renewed.
    """
    answer = cluster.request("GET", "/_component_template")
    requests = []
    for found in answer["component_templates"]:
        ours = found["component_template"].get("_meta", {}).get(_OURS, {})
        patterns = ours.get("index_patterns", [])
        if but in patterns:
            continue
        if ours.get("index") != facts.name and not any(fnmatch.fnmatchcase(facts.name, each) for each in patterns):
            continue
        body = build_component_template(facts.mapping, patterns[0], facts.name, _own_pipeline(facts))
        if found["component_template"] != body:
            requests.append(Request("PUT", f"/_component_template/{found['name']}", body))
    return Plan(requests)


def find_templates(cluster: Cluster, pattern: str) -> list[ShopTemplate]:
    """Return the index templates, of both kinds, that match some index name which the pattern matches too."""
    new = cluster.request("GET", "/_index_template")["index_templates"]
    bodies = [(each["name"], each["index_template"], False) for each in new]
    bodies += [(name, body, True) for name, body in cluster.request("GET", "/_template").items()]
    templates = [ShopTemplate(name, tuple(body["index_patterns"]), body, old) for name, body, old in bodies]
    return [each for each in templates if any(patterns_meet(pattern, other) for other in each.patterns)]


def patterns_meet(one: str, other: str) -> bool:
    """Say whether two patterns match a common name. `*` stands for any characters.

    >>> patterns_meet("products-*", "*-2027"), patterns_meet("products-*", "offers-*")
    (True, False)
    """

    @cache
    def meet(a: int, b: int) -> bool:
        if a == len(one) and b == len(other):
            return True
        if a < len(one) and one[a] == "*":
            return meet(a + 1, b) or (b < len(other) and meet(a, b + 1))
        if b < len(other) and other[b] == "*":
            return meet(a, b + 1) or (a < len(one) and meet(a + 1, b))
        return a < len(one) and b < len(other) and one[a] == other[b] and meet(a + 1, b + 1)

    return meet(0, 0)


def _add_component(template: ShopTemplate, component: str) -> Request:
    body = {**template.body, "composed_of": [*template.body.get("composed_of", []), component]}
    return Request("PUT", f"/_index_template/{quote(template.name, safe='')}", body)


# The ingest pipeline


def pipeline_name(title_field: str) -> str:
    """Return the name of our ingest pipeline for a title field.

    >>> pipeline_name("title")
    'gram-hash-title'
    """
    return f"{_PREFIX}hash-{title_field}"


def build_ingest_pipeline(title_field: str) -> dict[str, Any]:
    """Build the ingest pipeline. It serves every index and label with this title field.

    A fault in it loses no document: the document is written without a hash of its title.
    """
    forget = {"remove": {"field": TITLE_HASH, "ignore_missing": True}}
    return {
        "description": f"gram-os: a hash of '{title_field}' as it is now; codes of another title lose their 'source'",
        "processors": [
            forget,
            {
                "fingerprint": {
                    "fields": [title_field],
                    "target_field": TITLE_HASH,
                    "hash_method": "SHA-256@2.16.0",
                    "ignore_missing": True,
                }
            },
            {"script": {"lang": "painless", "source": _MARK}},
        ],
        "on_failure": [forget],
    }


def build_hash_mapping(labels: Iterable[str]) -> dict[str, Any]:
    """Build the mapping of the hashes: of the title as it is now, and of the title that each label's codes are from."""
    return {TITLE_HASH: _KEYWORD, **{code_field(label): {"properties": {CODED_HASH: _KEYWORD}} for label in labels}}


def build_waiting_query(label: str, *, with_script: bool = True) -> dict[str, Any]:
    """Build the query for documents that wait for codes of a label.

    Those without codes, and those that the pipeline has marked, have no `source`. The script finds a few more: an
    upsert in a `_bulk` renews the hash of the title, but the pipeline does not see the codes then.

    >>> build_waiting_query("v1", with_script=False)
    {'bool': {'must_not': [{'exists': {'field': 'gram_v1.source'}}]}}
    """
    field = code_field(label)
    unmarked = {"bool": {"must_not": [{"exists": {"field": f"{field}.source"}}]}}
    if not with_script:
        return unmarked
    now, coded = f"doc['{TITLE_HASH}']", f"doc['{field}.{CODED_HASH}']"
    script = f"{coded}.size() > 0 && ({now}.size() == 0 || {now}.value != {coded}.value)"
    return {"bool": {"should": [unmarked, {"script": {"script": {"lang": "painless", "source": script}}}]}}


def plan_pipeline(cluster: Cluster, facts: IndexFacts, title_field: str) -> Plan:
    """Plan the ingest pipeline of an index, and its place as the default pipeline when the index has none.

    Raises IndexUnfitError for a cluster without the fingerprint processor, and for a label whose field has the name of
    ours. Raises ClusterError.
    """
    if parse_version(cluster.version) < _FINGERPRINT_VERSION:
        raise IndexUnfitError(
            f"{cluster.url} is OpenSearch {cluster.version}, and the processor 'fingerprint' came with 2.16; upgrade, "
            "or leave --pipeline out: gram-os watch finds changed titles without it"
        )
    labels = facts.mapping["_meta"]["gram"]["labels"]
    if TITLE_HASH in map(code_field, labels):
        raise IndexUnfitError(f"index '{facts.name}': the pipeline needs the field '{TITLE_HASH}'; rename that label")
    name = pipeline_name(title_field)
    index = quote(facts.name, safe="")
    requests = [
        Request("PUT", f"/_ingest/pipeline/{quote(name, safe='')}", build_ingest_pipeline(title_field)),
        Request("PUT", f"/{index}/_mapping", {"properties": build_hash_mapping(labels)}),
    ]
    known = str(facts.settings.get(_DEFAULT_PIPELINE, _NO_PIPELINE))
    if known == name:
        return Plan(requests)
    if known == _NO_PIPELINE:
        return Plan([*requests, Request("PUT", f"/{index}/_settings", {_DEFAULT_PIPELINE: name})])
    return _plan_beside(cluster, facts.name, Plan(requests), name, known)


def foresee(facts: IndexFacts, plan: Plan) -> IndexFacts:
    """Return an index as it will be when a plan for its mapping and settings is carried out."""
    settings = dict(facts.settings)
    properties = dict(facts.mapping["properties"])
    for request in plan.requests:
        settings |= request.body if request.path.endswith("/_settings") else {}
        for name, body in request.body.get("properties", {}).items():
            known = properties.get(name, {})
            inner = {**known.get("properties", {}), **body.get("properties", {})}
            properties[name] = {**known, **body, **({"properties": inner} if inner else {})}
    return replace(facts, settings=settings, mapping={**facts.mapping, "properties": properties})


def plan_hash_fields(facts: IndexFacts) -> Plan:
    """Plan the fields of the hashes for labels that came after the pipeline, whose fields take no others."""
    properties = facts.mapping["properties"]
    labels = facts.mapping["_meta"]["gram"]["labels"]
    lacking = [each for each in labels if CODED_HASH not in properties[code_field(each)]["properties"]]
    if TITLE_HASH not in properties or not lacking:
        return Plan([])
    path = f"/{quote(facts.name, safe='')}/_mapping"
    return Plan([Request("PUT", path, {"properties": build_hash_mapping(lacking)})])


def _plan_beside(cluster: Cluster, index: str, plan: Plan, name: str, known: str) -> Plan:
    """Say how the index's own default pipeline calls ours."""
    path = f"/_ingest/pipeline/{quote(known, safe='')}"
    body = cluster.request("GET", "/_ingest/pipeline", missing_ok=True).get(known)  # none at all is a 404
    if body is None:
        note = f"index '{index}' has the default pipeline '{known}', which is not there: its writes fail"
        return Plan(plan.requests, [note])
    called = [processor["pipeline"].get("name") for processor in body["processors"] if "pipeline" in processor]
    if name in called:
        return Plan(plan.requests, [f"the default pipeline '{known}' of index '{index}' calls '{name}' already"])
    longer = {**body, "processors": [*body["processors"], {"pipeline": {"name": name}}]}
    note = f"index '{index}' has the default pipeline '{known}'; let it call '{name}' at its end"
    return Plan(plan.requests, [note], [Request("PUT", path, longer)])


def _own_pipeline(facts: IndexFacts) -> str | None:
    """Return the default pipeline of an index when it is ours."""
    known = str(facts.settings.get(_DEFAULT_PIPELINE, ""))
    return known if known.startswith(f"{_PREFIX}hash-") else None
