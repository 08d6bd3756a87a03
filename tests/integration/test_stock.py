"""What attach puts on a cluster beside an index: templates for new indices, and the ingest pipeline."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gram_os.cluster.client import Cluster
from gram_os.cluster.labels import LabelState, attach, read_attachment, require_label
from gram_os.cluster.stock import (
    build_waiting_query,
    carry_out,
    pipeline_name,
    plan_pipeline,
    plan_refresh,
    plan_templates,
    template_name,
)
from gram_os.ingest.backfill import backfill
from gram_os.loading.load import Source, load_products, survey_source
from gram_os.model.bundle import Bundle
from gram_os.model.generator import Generator
from tests.bundles import make_generator
from tests.command import run

pytestmark = pytest.mark.integration

DOCUMENTS: dict[str, dict[str, Any]] = {
    "1": {"title": "Xerox toner cartridge, black", "price": 10},
    "2": {"title": "HP laptop", "brand": "HP", "tags": ["wireless", "red"]},
    "3": {"title": "Wireless mouse"},
}
OUR_PIPELINE = "gram-hash-title"


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    return make_generator(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def shop(cluster: Cluster) -> Iterator[str]:
    """A beginning of names. What is made under it, and templates with it, are deleted afterwards."""
    name = f"shop{uuid.uuid4().hex[:12]}"
    yield name
    for facts in cluster.request("GET", "/_cat/indices", params={"format": "json"}):
        if facts["index"].startswith(name):
            cluster.delete_index(facts["index"])
    for path in ("_index_template", "_template", "_component_template"):
        for found in _template_names(cluster, path):
            if name in found:
                cluster.request("DELETE", f"/{path}/{found}")
    for found in cluster.request("GET", "/_ingest/pipeline", missing_ok=True):
        if name in found:
            cluster.request("DELETE", f"/_ingest/pipeline/{found}")


def _template_names(cluster: Cluster, path: str) -> list[str]:
    answer = cluster.request("GET", f"/{path}")
    if path == "_template":
        return list(answer)
    return [found["name"] for found in answer[f"{path.removeprefix('_')}s"]]


def _state(generator: Generator, label: str = "t1", title: str = "title") -> LabelState:
    return LabelState(label, generator.bundle.id, title, coded_fields=generator.bundle.manifest.coded_fields)


def _make(cluster: Cluster, index: str, generator: Generator, *, coded: bool = True, **settings: Any) -> str:
    """Make an index with the documents, attached and coded."""
    mappings = {"properties": {"title": {"type": "text"}}}
    cluster.create_index(index, {"settings": {"number_of_replicas": 0, **settings}, "mappings": mappings})
    attach(cluster, index, _state(generator))
    actions = [{"op": "index", "index": index, "id": id_, "body": body} for id_, body in DOCUMENTS.items()]
    assert [item.error for item in cluster.bulk(actions)] == [None] * 3
    cluster.refresh(index)
    if coded:
        assert backfill(cluster, index, _state(generator), generator).coded == 3
        cluster.refresh(index)
    return index


def _put_templates(cluster: Cluster, index: str, pattern: str) -> None:
    plan = plan_templates(cluster, cluster.get_indices(index)[0], pattern)
    assert (plan.notes, plan.by_hand) == ((), ())
    carry_out(cluster, plan)


def _find(cluster: Cluster, index: str, code: str) -> list[str]:
    cluster.refresh(index)
    answer = cluster.search(index, {"query": {"term": {"gram_t1.codes": code}}, "_source": False})
    return sorted(hit["_id"] for hit in answer["hits"]["hits"])


def _codes(cluster: Cluster, index: str) -> dict[str, Any]:
    cluster.refresh(index)
    hits = cluster.scan(index, query={"match_all": {}}, source=["gram_t1"])
    return {hit["_id"]: hit["_source"].get("gram_t1") for hit in hits}


# Templates


def test_a_copy_of_a_coded_index_has_codes(cluster: Cluster, shop: str, generator: Generator) -> None:
    first, second = _make(cluster, f"{shop}-1", generator), f"{shop}-2"
    _put_templates(cluster, first, f"{shop}-*")
    copied = cluster.request(
        "POST", "/_reindex", {"source": {"index": first}, "dest": {"index": second}}, params={"refresh": True}
    )
    assert (copied["created"], copied["failures"]) == (3, [])
    assert _find(cluster, second, "hp | laptop") == ["2"]
    assert _codes(cluster, second) == _codes(cluster, first)
    weights = cluster.get_mapping(second)["properties"]["gram_t1"]["properties"]["weights"]
    assert weights == {"type": "rank_features"}  # and no field for each code
    assert require_label(cluster, second).coded_fields == ("brand", "tags", "description")
    assert backfill(cluster, second, _state(generator), generator).unchanged == 3


def test_a_rollover_goes_on_with_the_labels(cluster: Cluster, shop: str, generator: Generator) -> None:
    alias, first = f"{shop}-live", _make(cluster, f"{shop}-000001", generator)
    cluster.request(
        "POST", "/_aliases", {"actions": [{"add": {"index": first, "alias": alias, "is_write_index": True}}]}
    )
    _put_templates(cluster, first, f"{shop}-0*")
    rolled = cluster.request("POST", f"/{alias}/_rollover")
    assert rolled["new_index"] == f"{shop}-000002"
    assert read_attachment(cluster, alias) == read_attachment(cluster, first)
    (item,) = cluster.bulk([{"op": "index", "index": alias, "id": "4", "body": {"title": "HP mouse"}}])
    assert item.error is None
    assert backfill(cluster, alias, _state(generator), generator).coded == 1
    assert _find(cluster, alias, "hp") == ["2", "4"] or _find(cluster, alias, "hp | mouse") == ["4"]


def test_the_templates_follow_the_labels(cluster: Cluster, shop: str, generator: Generator) -> None:
    first = _make(cluster, f"{shop}-1", generator, coded=False)
    _put_templates(cluster, first, f"{shop}-*")
    (facts,) = cluster.get_indices(first)
    assert plan_refresh(cluster, facts).requests == []
    attach(cluster, first, _state(generator, "t2"))
    (facts,) = cluster.get_indices(first)
    plan = plan_refresh(cluster, facts)
    assert [request.path for request in plan.requests] == [f"/_component_template/{template_name(f'{shop}-*')}"]
    assert plan_refresh(cluster, facts, but=f"{shop}-*").requests == []
    carry_out(cluster, plan)
    cluster.create_index(f"{shop}-2", {})
    assert read_attachment(cluster, f"{shop}-2") == read_attachment(cluster, first)
    # An index of another name, which is not of the pattern, has no say.
    other = _make(cluster, f"{shop}other", generator, coded=False)
    assert plan_refresh(cluster, cluster.get_indices(other)[0]).requests == []


def test_a_template_of_the_shop_is_left_alone(cluster: Cluster, shop: str, generator: Generator) -> None:
    first, pattern = _make(cluster, f"{shop}-1", generator), f"{shop}-*"
    theirs = {
        "index_patterns": [f"*{shop[4:]}-*"],
        "priority": 7,
        "template": {
            "settings": {"index": {"number_of_replicas": "0"}},
            "mappings": {"_meta": {"owner": "catalogue team"}},
        },
    }
    cluster.request("PUT", f"/_index_template/{shop}-theirs", theirs)
    plan = plan_templates(cluster, cluster.get_indices(first)[0], pattern)
    assert plan.notes == [f"index template '{shop}-theirs' (*{shop[4:]}-*) matches '{pattern}'"]
    carry_out(cluster, plan)
    assert _template_names(cluster, "_index_template").count(template_name(pattern)) == 0
    (by_hand,) = plan.by_hand
    assert by_hand.path == f"/_index_template/{shop}-theirs"
    assert by_hand.body == {**theirs, "composed_of": [template_name(pattern)]}

    cluster.request(by_hand.method, by_hand.path, by_hand.body)  # the owner sends it
    cluster.create_index(f"{shop}-2", {})
    assert read_attachment(cluster, f"{shop}-2") == read_attachment(cluster, first)
    assert cluster.get_mapping(f"{shop}-2")["_meta"]["owner"] == "catalogue team"
    plan = plan_templates(cluster, cluster.get_indices(first)[0], pattern)
    assert (plan.notes, plan.by_hand) == (
        [f"index template '{shop}-theirs' has '{template_name(pattern)}' already"],
        [],
    )


def test_a_template_of_the_old_kind_is_not_switched_off(cluster: Cluster, shop: str, generator: Generator) -> None:
    first, pattern = _make(cluster, f"{shop}-1", generator), f"{shop}-*"
    theirs = {
        "index_patterns": [f"{shop}*"],
        "order": 5,
        "settings": {"index.refresh_interval": "7s"},
        "mappings": {"_meta": {"owner": "x"}},
    }
    cluster.request("PUT", f"/_template/{shop}-old", theirs)
    plan = plan_templates(cluster, cluster.get_indices(first)[0], pattern)
    assert [f"'{shop}-old' of the old kind" in note for note in plan.notes] == [True]
    carry_out(cluster, plan)
    assert template_name(pattern) not in _template_names(cluster, "_index_template")
    (by_hand,) = plan.by_hand
    cluster.request(by_hand.method, by_hand.path, by_hand.body)  # the owner sends it
    cluster.create_index(f"{shop}-2", {})
    (facts,) = cluster.get_indices(f"{shop}-2")
    assert read_attachment(cluster, f"{shop}-2") == read_attachment(cluster, first)
    assert facts.settings["index.refresh_interval"] == "7s"
    assert facts.mapping["_meta"]["owner"] == "x"


def test_a_template_that_comes_later_wins_or_is_refused(cluster: Cluster, shop: str, generator: Generator) -> None:
    """Why ours has the lowest priority: it never hides one of the shop's."""
    first = _make(cluster, f"{shop}-1", generator)
    _put_templates(cluster, first, f"{shop}-*")
    theirs = {"index_patterns": [f"{shop}-2*"], "template": {"mappings": {"_meta": {"owner": "x"}}}}
    with pytest.raises(Exception, match=f"{template_name(f'{shop}-*')}.*same priority"):
        cluster.request("PUT", f"/_index_template/{shop}-theirs", theirs)
    cluster.request("PUT", f"/_index_template/{shop}-theirs", {**theirs, "priority": 1})
    cluster.create_index(f"{shop}-2", {})
    assert cluster.get_mapping(f"{shop}-2")["_meta"] == {"owner": "x"}


# The ingest pipeline


def _put_pipeline(cluster: Cluster, index: str, title_field: str = "title") -> None:
    plan = plan_pipeline(cluster, cluster.get_indices(index)[0], title_field)
    assert (plan.notes, plan.by_hand) == ((), ())
    carry_out(cluster, plan)


def _waiting(cluster: Cluster, index: str, *, with_script: bool = True) -> list[str]:
    cluster.refresh(index)
    query = build_waiting_query("t1", with_script=with_script)
    answer = cluster.search(index, {"query": query, "_source": False})
    return sorted(hit["_id"] for hit in answer["hits"]["hits"])


@pytest.fixture
def watched(cluster: Cluster, shop: str, generator: Generator) -> str:
    """A coded index with the pipeline."""
    index = _make(cluster, f"{shop}-1", generator, coded=False)
    _put_pipeline(cluster, index)
    cluster.request("POST", f"/{index}/_update_by_query", params={"refresh": True})
    assert _waiting(cluster, index) == _waiting(cluster, index, with_script=False) == ["1", "2", "3"]
    assert backfill(cluster, index, _state(generator), generator).coded == 3
    assert _waiting(cluster, index) == []
    return index


def _send(method: str, path: str, body: dict[str, Any] | None = None) -> Callable[[Cluster, str], None]:
    def act(cluster: Cluster, index: str) -> None:
        cluster.request(method, path.format(index=index), body, params={"refresh": True})

    return act


def _bulk(op: str, **body: Any) -> Callable[[Cluster, str], None]:
    def act(cluster: Cluster, index: str) -> None:
        assert [item.error for item in cluster.bulk([{"op": op, "index": index, "id": "2", "body": body}])] == [None]

    return act


_NEW = {"title": "HP mouse", "price": 5}
_SCRIPT = {"script": {"source": "ctx._source.title = 'HP mouse'"}}


@pytest.mark.parametrize(
    ("act", "marked", "found"),
    [
        (_send("PUT", "/{index}/_doc/2", _NEW), True, True),
        (_bulk("index", **_NEW), True, True),
        (_send("POST", "/{index}/_update/2", {"doc": _NEW}), True, True),
        (_send("POST", "/{index}/_update/2", _SCRIPT), True, True),
        (_send("POST", "/{index}/_update/2", {"doc": _NEW, "doc_as_upsert": True}), True, True),
        (_send("POST", "/{index}/_update_by_query", {**_SCRIPT, "query": {"ids": {"values": ["2"]}}}), True, True),
        (_bulk("update", doc=_NEW, doc_as_upsert=True), False, True),  # the script alone sees it
        (_bulk("update", doc=_NEW), False, False),  # no pipeline runs: gram-os watch is needed
        (_bulk("update", **_SCRIPT), False, False),
        # Nothing has to be coded.
        (_send("POST", "/{index}/_update/2", {"doc": {"price": 9}}), False, False),
        (_send("POST", "/{index}/_update_by_query", {"query": {"ids": {"values": ["2"]}}}), False, False),
        (_bulk("update", doc={"price": 9}, doc_as_upsert=True), False, False),
    ],
)
def test_a_changed_title_is_marked(
    cluster: Cluster, watched: str, act: Callable[[Cluster, str], None], marked: bool, found: bool
) -> None:
    act(cluster, watched)
    assert _waiting(cluster, watched, with_script=False) == (["2"] if marked else [])
    assert _waiting(cluster, watched) == (["2"] if found else [])


def test_a_document_that_waits_keeps_its_codes_until_new_ones_come(
    cluster: Cluster, watched: str, generator: Generator
) -> None:
    cluster.request("POST", f"/{watched}/_update/2", {"doc": {"title": "HP mouse"}})
    assert _find(cluster, watched, "hp | laptop") == ["2"]
    assert backfill(cluster, watched, _state(generator), generator).coded == 1
    assert _find(cluster, watched, "hp | mouse") == ["2"]
    assert _waiting(cluster, watched) == []


def test_a_label_that_comes_after_the_pipeline_is_coded(
    cluster: Cluster, watched: str, generator: Generator, tmp_path: Path
) -> None:
    bundle = make_generator(tmp_path / "bundle").bundle.path
    assert run("attach", "--index", watched, "--label", "t2", "--bundle", str(bundle), "--url", cluster.url).code == 0
    report = backfill(cluster, watched, _state(generator, "t2"), generator)
    assert (report.coded, report.refused) == (3, [])
    cluster.request("POST", f"/{watched}/_update/2", {"doc": {"title": "HP mouse"}})
    cluster.refresh(watched)
    for label in ("t1", "t2"):
        found = cluster.search(watched, {"query": build_waiting_query(label)})
        assert [hit["_id"] for hit in found["hits"]["hits"]] == ["2"]


@pytest.mark.parametrize("op", ["create", "index"])
def test_new_documents_wait(cluster: Cluster, watched: str, op: str) -> None:
    (item,) = cluster.bulk([{"op": op, "index": watched, "id": "9", "body": {"title": "Lamp"}}])
    assert item.error is None
    cluster.request("PUT", f"/{watched}/_create/10", {"title": "Lamp"})
    assert _waiting(cluster, watched, with_script=False) == ["10", "9"]


def test_a_copy_keeps_what_is_current(cluster: Cluster, shop: str, watched: str, generator: Generator) -> None:
    second = f"{shop}-2"
    _put_templates(cluster, watched, f"{shop}-*")
    cluster.request("POST", "/_reindex", {"source": {"index": watched}, "dest": {"index": second}})
    assert cluster.get_indices(second)[0].settings["index.default_pipeline"] == OUR_PIPELINE
    assert _waiting(cluster, second) == []
    assert _codes(cluster, second) == _codes(cluster, watched)
    cluster.request("POST", f"/{second}/_update/2", {"doc": {"title": "HP mouse"}})
    assert _waiting(cluster, second) == ["2"]


def test_a_copy_of_codes_from_an_index_without_the_pipeline_stays_current(
    cluster: Cluster, shop: str, generator: Generator
) -> None:
    first = _make(cluster, f"{shop}-1", generator)
    second = _make(cluster, f"{shop}-2", generator, coded=False)
    _put_pipeline(cluster, second)
    cluster.request("POST", "/_reindex", {"source": {"index": first}, "dest": {"index": second}})
    assert _waiting(cluster, second) == []
    assert backfill(cluster, second, _state(generator), generator).unchanged == 3


def test_a_reload_through_the_pipeline_keeps_codes(
    cluster: Cluster, watched: str, generator: Generator, tmp_path: Path
) -> None:
    path = tmp_path / "products.jsonl"
    rows = [{"id": id_, **body} for id_, body in DOCUMENTS.items()]
    rows[0]["title"] = "Xerox toner"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    source = Source(path)
    report = load_products(cluster, watched, source, survey_source(source), on_item=lambda _: None)
    assert (report.kept_codes, report.without_codes) == ({"t1": 2}, {"t1": 1})
    assert _waiting(cluster, watched) == ["1"]
    assert backfill(cluster, watched, _state(generator), generator).coded == 1
    assert _waiting(cluster, watched) == []


@pytest.mark.parametrize("title", [None, "", 7, ["a", "b"], {"en": "Lamp"}])
def test_no_title_loses_a_document(cluster: Cluster, shop: str, generator: Generator, title: Any) -> None:
    index = f"{shop}-1"
    cluster.create_index(
        index, {"mappings": {"properties": {"name": {"type": "text"}, "title": {"enabled": False, "type": "object"}}}}
    )
    attach(cluster, index, _state(generator, title="name"))
    _put_pipeline(cluster, index, "title")
    for id_, body in {"1": {"title": title, "name": "a"}, "2": {"name": "a"}}.items():
        cluster.request("PUT", f"/{index}/_doc/{id_}", body)
        found = cluster.request("GET", f"/{index}/_doc/{id_}")["_source"]
        found.pop("gram_title_hash", None)
        assert found == body


def test_a_removed_title_is_marked(cluster: Cluster, watched: str) -> None:
    cluster.request("POST", f"/{watched}/_update/2", {"script": {"source": "ctx._source.remove('title')"}})
    assert _waiting(cluster, watched, with_script=False) == ["2"]


def test_titles_inside_objects(cluster: Cluster, shop: str, generator: Generator) -> None:
    index = f"{shop}-1"
    cluster.create_index(index, {"mappings": {"properties": {"i18n": {"properties": {"en": {"type": "text"}}}}}})
    attach(cluster, index, _state(generator, title="i18n.en"))
    _put_pipeline(cluster, index, "i18n.en")
    cluster.request("PUT", f"/{index}/_doc/1", {"i18n": {"en": "HP laptop"}})
    cluster.request("PUT", f"/{index}/_doc/2", {"i18n.en": "HP laptop"})  # the name with a dot: no processor reads it
    hits = list(_read_hashes(cluster, index))
    assert [bool(found) for found in hits] == [True, False]


def _read_hashes(cluster: Cluster, index: str) -> Iterator[str | None]:
    for id_ in ("1", "2"):
        yield cluster.request("GET", f"/{index}/_doc/{id_}")["_source"].get("gram_title_hash")


def test_a_default_pipeline_of_the_shop_is_left_alone(cluster: Cluster, shop: str, generator: Generator) -> None:
    theirs = {"processors": [{"set": {"field": "seen", "value": True}}]}
    cluster.request("PUT", f"/_ingest/pipeline/{shop}-theirs", theirs)
    index = _make(cluster, f"{shop}-1", generator, coded=False, default_pipeline=f"{shop}-theirs")
    plan = plan_pipeline(cluster, cluster.get_indices(index)[0], "title")
    assert plan.notes == [
        f"index '{index}' has the default pipeline '{shop}-theirs'; let it call '{OUR_PIPELINE}' at its end"
    ]
    carry_out(cluster, plan)
    assert cluster.get_indices(index)[0].settings["index.default_pipeline"] == f"{shop}-theirs"
    assert cluster.request("GET", f"/_ingest/pipeline/{shop}-theirs")[f"{shop}-theirs"] == theirs

    (by_hand,) = plan.by_hand
    cluster.request(by_hand.method, by_hand.path, by_hand.body)  # the owner sends it
    cluster.request("PUT", f"/{index}/_doc/4", {"title": "Lamp"})
    found = cluster.request("GET", f"/{index}/_doc/4")["_source"]
    assert (found["seen"], "gram_title_hash" in found) == (True, True)
    plan = plan_pipeline(cluster, cluster.get_indices(index)[0], "title")
    assert plan.notes == [f"the default pipeline '{shop}-theirs' of index '{index}' calls '{OUR_PIPELINE}' already"]


def test_a_pipeline_that_is_set_already_is_set_once(cluster: Cluster, watched: str) -> None:
    plan = plan_pipeline(cluster, cluster.get_indices(watched)[0], "title")
    assert [request.path for request in plan.requests] == [
        f"/_ingest/pipeline/{pipeline_name('title')}",
        f"/{watched}/_mapping",
    ]


# The verb


def test_attach_does_all_of_it_and_dry_run_none(cluster: Cluster, shop: str) -> None:
    index, pattern = f"{shop}-1", f"{shop}-*"
    cluster.create_index(index, {"mappings": {"properties": {"title": {"type": "text"}}}})
    before = cluster.get_indices(index)[0]
    options = ("--index", index, "--template", pattern, "--pipeline", "--url", cluster.url)
    planned = run("attach", *options, "--dry-run", "--json").json()
    assert cluster.get_indices(index)[0] == before
    assert template_name(pattern) not in _template_names(cluster, "_component_template")
    paths = [f"PUT /{index}/_mapping", f"PUT /_ingest/pipeline/{OUR_PIPELINE}", f"PUT /{index}/_mapping"]
    paths += [f"PUT /{index}/_settings"]
    paths += [f"PUT /{kind}/{template_name(pattern)}" for kind in ("_component_template", "_index_template")]
    assert [planned["request"], *(each["request"] for each in planned["more"])] == paths
    text = run("attach", *options, "--dry-run").out
    assert all(path in text for path in paths)
    assert '"hash_method": "SHA-256@2.16.0"' in text

    done = run("attach", *options, "--json").json()
    assert done["requests"] == paths[1:]
    cluster.create_index(f"{shop}-2", {})
    first, second = cluster.get_indices(pattern)
    assert second.mapping["_meta"] == first.mapping["_meta"]
    ours = ("gram_v1", "gram_title_hash")
    assert {name: second.mapping["properties"][name] for name in ours} == {
        name: first.mapping["properties"][name] for name in ours
    }
    assert second.settings["index.default_pipeline"] == OUR_PIPELINE
    # What the dry run has shown is what was put, but for defaults that the cluster does not write.
    component = next(each["body"] for each in planned["more"] if "_component_template" in each["request"])
    assert component["template"]["mappings"]["_meta"] == {"gram": first.mapping["_meta"]["gram"]}
    # A second label reaches the templates without being told.
    again = run("attach", "--index", index, "--label", "v2", "--url", cluster.url).out
    assert f"done: PUT /_component_template/{template_name(pattern)}" in again
    cluster.create_index(f"{shop}-3", {})
    found = read_attachment(cluster, f"{shop}-3")
    assert found is not None
    assert list(found.labels) == ["v1", "v2"]
    cluster.request("DELETE", f"/_index_template/{template_name(pattern)}")


def test_attach_prints_what_the_owner_has_to_do(cluster: Cluster, shop: str) -> None:
    index = f"{shop}-1"
    cluster.create_index(index, {"mappings": {"properties": {"title": {"type": "text"}}}})
    cluster.request("PUT", f"/_index_template/{shop}-theirs", {"index_patterns": [f"{shop}*"], "priority": 3})
    done = run("attach", "--index", index, "--template", f"{shop}-*", "--url", cluster.url)
    assert done.code == 0
    assert f"note: index template '{shop}-theirs' ({shop}*) matches '{shop}-*'" in done.out
    assert f"send it yourself:\nPUT /_index_template/{shop}-theirs\n" in done.out
    assert f'"composed_of": [\n    "{template_name(f"{shop}-*")}"' in done.out


@pytest.mark.parametrize("pattern", ["*", "_all", "Products-*", "a b", "**", "a,b"])
def test_patterns_that_are_none(cluster: Cluster, shop: str, pattern: str) -> None:
    index = f"{shop}-1"
    cluster.create_index(index, {"mappings": {"properties": {"title": {"type": "text"}}}})
    done = run("attach", "--index", index, "--template", pattern, "--url", cluster.url)
    assert done.code == 2
    assert "name the indices of the catalogue, such as 'products-*'" in done.err
    assert read_attachment(cluster, index) is None


def test_a_label_with_the_name_of_the_hash_is_refused(cluster: Cluster, shop: str, generator: Generator) -> None:
    index = f"{shop}-1"
    cluster.create_index(index, {"mappings": {"properties": {"title": {"type": "text"}}}})
    attach(cluster, index, replace(_state(generator), label="title_hash"))
    with pytest.raises(Exception, match="rename that label"):
        plan_pipeline(cluster, cluster.get_indices(index)[0], "title")


def test_the_files_of_the_folder_work_as_they_are(cluster: Cluster) -> None:
    """The three requests of opensearch/README.md, then a new index."""
    folder = Path(__file__).parents[2] / "opensearch"
    paths = {
        "ingest-pipeline": f"/_ingest/pipeline/{OUR_PIPELINE}",
        "component-template": "/_component_template/gram-products-any",
        "index-template": "/_index_template/gram-products-any",
    }
    index = f"products-{uuid.uuid4().hex}"
    for name, path in paths.items():
        assert path in (folder / "README.md").read_text(encoding="utf-8")
        cluster.request("PUT", path, json.loads((folder / f"{name}.json").read_text(encoding="utf-8")))
    try:
        cluster.request("PUT", f"/{index}/_doc/1", {"title": "Lamp"})
        assert "gram_title_hash" in cluster.request("GET", f"/{index}/_doc/1")["_source"]
        assert require_label(cluster, index).bundle == Bundle.load(None).id
        cluster.delete_index(index)
    finally:
        cluster.request("DELETE", paths["index-template"])
        cluster.request("DELETE", paths["component-template"])


def test_the_page_has_the_queries_that_the_builders_make() -> None:
    page = (Path(__file__).parents[2] / "docs" / "ingest-pipeline.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    assert json.loads(block) == {"query": build_waiting_query("v1")}
    assert json.dumps({"query": build_waiting_query("v1", with_script=False)}) in page
