"""People's edits on a real node: they are in the documents, they stay, and undoing one restores what the model says."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from gram_os.cluster.client import Cluster
from gram_os.cluster.labels import LabelState, attach
from gram_os.cluster.stored import DocumentKey
from gram_os.edits.book import INDEX, EditBook
from gram_os.edits.edit import Correction
from gram_os.errors import InputError
from gram_os.ingest.backfill import BackfillReport, backfill
from gram_os.ingest.documents import Document, LabelWriter
from gram_os.model.generator import Generator
from gram_os.query_pipeline.search import Mode
from gram_os.query_pipeline.systems import open_pipeline
from gram_os.settings import ClusterSettings
from tests.bundles import make_generator
from tests.command import Done, run
from tests.conftest import MakeIndex
from tests.relay import Relay

pytestmark = pytest.mark.integration

TITLES = {
    "1": "Xerox toner cartridge, black",
    "2": "HP laptop",
    "3": "Wireless mouse",
    "4": "Red apple laptop with wireless mouse",
}


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    return make_generator(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def index(cluster: Cluster, make_index: MakeIndex, generator: Generator) -> str:
    name = make_index()
    _write(cluster, name, {id_: {"title": title} for id_, title in TITLES.items()})
    attach(cluster, name, _state(generator))
    backfill(cluster, name, _state(generator), generator)
    return name


@pytest.fixture
def edit(cluster: Cluster, index: str) -> Callable[..., int]:
    """Make an edit of the index and return its number."""

    def make(**fields: Any) -> int:
        return EditBook(cluster).add(Correction(index, **fields), "anna").number

    return make


def _state(generator: Generator, label: str = "t1") -> LabelState:
    return LabelState(label, generator.bundle.id, "title")


def _write(cluster: Cluster, index: str, documents: dict[str, dict[str, Any]], op: str = "index") -> None:
    actions = [{"op": op, "index": index, "id": id_, "body": body} for id_, body in documents.items()]
    assert [item.error for item in cluster.bulk(actions)] == [None] * len(documents)


def _codes(cluster: Cluster, index: str, field: str = "gram_t1") -> dict[str, Any]:
    """Return what the documents hold, but when."""
    cluster.refresh(index)
    hits = cluster.scan(index, query={"match_all": {}}, source=[field])
    return {hit["_id"]: {**hit["_source"][field], "coded_at": ""} for hit in hits}


def _backfill(cluster: Cluster, index: str, generator: Generator) -> int:
    report = backfill(cluster, index, _state(generator), generator)
    assert report.refused == []
    assert backfill(cluster, index, _state(generator), generator) == BackfillReport(0, len(TITLES))
    return report.coded


def _follow(writer: LabelWriter, since: str | None) -> tuple[str, set[str]]:
    """Do what a watch does: code again what edits have outdated. Returns the new position and the coded ids."""
    writer.edits.look(at_once=True)
    change = writer.edits.poll(since)
    if change is None:
        assert since is not None
        return since, set()
    read = {item.key.id: item for item in writer.read_all(list(writer.edits.find_hits(change, writer.fields)))}
    outdated = [item for item in read.values() if isinstance(item, Document) and not item.is_current]
    outcome = writer.write(writer.code_now(outdated))
    assert not outcome.conflicts and not outcome.refused
    return change.position, {key.id for key in outcome.written}


def test_a_code_is_given_and_taken_away(
    cluster: Cluster, index: str, generator: Generator, edit: Callable[..., int]
) -> None:
    before = _codes(cluster, index)
    number = edit(ids=("2",), add=("Toner Cartridges | XEROX",), remove=("laptop",))
    assert _backfill(cluster, index, generator) == 1
    after = _codes(cluster, index)
    codes = after["2"]
    assert codes["codes"][0] == "toner cartridge | xerox"
    assert not any("laptop" in code.split(" | ") for code in codes["codes"])
    assert codes["attributes"]["product_type"] == ["toner cartridge"]
    assert codes["attributes"]["brand"] == ["xerox", "hp"]
    weights = codes["weights"][0]
    assert {"toner cartridge", "toner", "cartridge", "xerox", "toner cartridge | xerox"} <= set(weights)
    assert not any("laptop" in name.split(" | ") for name in weights)
    assert [token.split(".")[0] for token in codes["edits"]] == [str(number)]
    assert {id_ for id_ in after if after[id_] != before[id_]} == {"2"}


def test_undoing_restores_what_the_model_says(
    cluster: Cluster, index: str, generator: Generator, edit: Callable[..., int]
) -> None:
    before = _codes(cluster, index)
    numbers = [
        edit(ids=("2", "3"), add=("xerox",)),
        edit(query={"match": {"title": "laptop"}}, remove=("laptop",)),
        edit(forbid="wireless", type="mouse"),
    ]
    assert _backfill(cluster, index, generator) == 3
    for number in numbers:
        EditBook(cluster).undo(number, "ben")
    assert _backfill(cluster, index, generator) == 3
    assert json.dumps(_codes(cluster, index), sort_keys=True) == json.dumps(before, sort_keys=True)


def test_a_query_says_which_products(
    cluster: Cluster, index: str, generator: Generator, edit: Callable[..., int]
) -> None:
    edit(query={"match": {"title": "laptop"}}, add=("scenario=Xerox Lab",))
    assert _backfill(cluster, index, generator) == 2
    assert {id_ for id_, codes in _codes(cluster, index).items() if "edits" in codes} == {"2", "4"}
    _write(cluster, index, {"2": {"title": "HP toner"}, "3": {"title": "Apple laptop"}})
    assert _backfill(cluster, index, generator) == 2
    after = _codes(cluster, index)
    assert {id_ for id_, codes in after.items() if "edits" in codes} == {"3", "4"}
    assert after["3"]["attributes"]["scenario"] == ["xerox lab"]


def test_a_forbidden_value_goes_from_products_of_the_type_only(
    cluster: Cluster, index: str, generator: Generator, edit: Callable[..., int]
) -> None:
    types = {id_: codes["attributes"]["product_type"] for id_, codes in _codes(cluster, index).items()}
    before = _codes(cluster, index)
    edit(forbid="Wireless", type="Mouse")
    changed = {id_ for id_ in TITLES if "mouse" in types[id_] and "wireless" in str(before[id_])}
    assert "3" in changed and "1" not in changed
    assert _backfill(cluster, index, generator) == len(changed)
    after = _codes(cluster, index)
    for id_ in TITLES:
        assert ("edits" in after[id_]) == (id_ in changed)
        if id_ in changed:
            assert "wireless" not in json.dumps(after[id_])
        else:
            assert after[id_] == before[id_]


def test_a_younger_edit_may_give_what_is_forbidden(
    cluster: Cluster, index: str, generator: Generator, edit: Callable[..., int]
) -> None:
    edit(forbid="wireless", type="mouse")
    edit(ids=("3",), add=("wireless",))
    _backfill(cluster, index, generator)
    assert _codes(cluster, index)["3"]["codes"][0] == "wireless"
    edit(forbid="wireless", type="mouse")
    _backfill(cluster, index, generator)
    assert "wireless" not in json.dumps(_codes(cluster, index)["3"])


def test_a_new_title_and_a_new_label_keep_the_edit(
    cluster: Cluster, index: str, generator: Generator, edit: Callable[..., int]
) -> None:
    edit(ids=("2",), add=("xerox",))
    _backfill(cluster, index, generator)
    _write(cluster, index, {"2": {"title": "Wireless mouse, red"}})
    assert _backfill(cluster, index, generator) == 1
    second = _state(generator, "t2")
    attach(cluster, index, second)
    backfill(cluster, index, second, generator)
    for field in ("gram_t1", "gram_t2"):
        codes = _codes(cluster, index, field)["2"]
        assert codes["codes"][0] == "xerox" and "mouse" in codes["weights"][0]


def test_searches_find_the_given_code_and_not_the_taken_one(
    cluster: Cluster, index: str, generator: Generator, edit: Callable[..., int]
) -> None:
    edit(ids=("2",), add=("toner",), remove=("laptop",))
    _backfill(cluster, index, generator)
    cluster.refresh(index)
    pipeline = open_pipeline(cluster, index, generator=generator)

    def find(text: str) -> dict[str, float]:
        """Return the products with the very word, and what it counts there."""
        hits = pipeline.search(text, mode=Mode.GRAM, explain=True).hits
        parts = {hit.id: {part.code: part.title_weight for part in hit.pair.parts} for hit in hits if hit.pair}
        return {id_: weights[text] for id_, weights in parts.items() if text in weights}

    assert "2" in find("toner") and "2" not in find("laptop")
    own = find("toner")
    assert own["2"] >= own["1"]  # it counts like the likeliest of a product's own values
    edit(ids=("3",), add=("Zebra Stripe",))  # no value that the model knows
    _backfill(cluster, index, generator)
    found = open_pipeline(cluster, index, generator=generator).search("zebra stripes", mode=Mode.GRAM, explain=True)
    assert {hit.id for hit in found.hits if hit.pair and hit.pair.parts[0].code in ("zebra", "stripe")} == {"3"}


def test_a_watch_reads_again_what_edits_have_outdated(
    cluster: Cluster, index: str, generator: Generator, edit: Callable[..., int]
) -> None:
    writer = LabelWriter(cluster, index, _state(generator), generator)
    before = _codes(cluster, index)
    position, coded = _follow(writer, None)
    assert coded == set()
    numbers = [edit(ids=("2",), add=("xerox",)), edit(forbid="wireless", type="mouse")]
    position, coded = _follow(writer, position)
    assert coded >= {"2", "3"}
    assert _follow(writer, position) == (position, set())
    restarted = LabelWriter(cluster, index, _state(generator), generator)
    assert _follow(restarted, position) == (position, set())
    numbers.append(edit(query={"match": {"title": "laptop"}}, remove=("laptop",)))
    position, coded = _follow(restarted, position)
    assert coded == {"2", "4"}
    for number in numbers:
        EditBook(cluster).undo(number, "ben")
    _, coded = _follow(restarted, position)
    assert coded >= {"2", "3", "4"}
    assert _codes(cluster, index) == before


_CODES = st.sampled_from(["xerox", "laptop", "Apple | Laptop", "wireless", "brand=red", "product_type=mouse", "zebra"])
_TARGETS = st.sampled_from(["laptop", "HP", "mouse", "apple | laptop", "product_type=laptop", "wireless", "toner"])
_WHERE = st.one_of(
    st.fixed_dictionaries({"ids": st.lists(st.sampled_from(sorted(TITLES)), min_size=1, unique=True).map(tuple)}),
    st.fixed_dictionaries({"query": st.sampled_from(["laptop", "wireless"]).map(lambda w: {"match": {"title": w}})}),
)
_CORRECTIONS = st.one_of(
    st.builds(lambda where, code: {**where, "add": (code,)}, _WHERE, _CODES),
    st.builds(lambda where, code: {**where, "remove": (code,)}, _WHERE, _TARGETS),
    st.builds(lambda code, kind: {"forbid": code, "type": kind}, _TARGETS, st.sampled_from(["laptop", "Mouse"])),
)


@hypothesis.settings(max_examples=10, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
@hypothesis.given(wanted=st.lists(_CORRECTIONS, min_size=1, max_size=4), order=st.randoms(use_true_random=False))
def test_any_edits_are_followed_and_undone(
    cluster: Cluster, index: str, generator: Generator, wanted: list[dict[str, Any]], order: Any
) -> None:
    book, writer = EditBook(cluster), LabelWriter(cluster, index, _state(generator), generator)
    position, _ = _follow(writer, None)
    before = _codes(cluster, index)
    numbers = []
    for fields in wanted:
        numbers.append(book.add(Correction(index, **fields), "anna").number)
        position, _ = _follow(writer, position)
        assert backfill(cluster, index, _state(generator), generator).coded == 0  # a watch misses nothing
    followed = _codes(cluster, index)
    _write(cluster, index, {id_: {"title": title} for id_, title in TITLES.items()})
    backfill(cluster, index, _state(generator), generator)
    assert _codes(cluster, index) == followed  # one after the other, or all at once
    order.shuffle(numbers)
    for number in numbers:
        book.undo(number, "ben")
        position, _ = _follow(writer, position)
        assert backfill(cluster, index, _state(generator), generator).coded == 0
    assert _codes(cluster, index) == before


def test_documents_are_read_whatever_searches_see(
    cluster: Cluster, index: str, generator: Generator, edit: Callable[..., int]
) -> None:
    cluster.request("PUT", f"/{index}/_settings", {"index": {"refresh_interval": "-1"}})
    edit(query={"match": {"title": "laptop"}}, add=("xerox",))
    _write(cluster, index, {"3": {"title": "Apple laptop"}})
    writer = LabelWriter(cluster, index, _state(generator), generator)
    outcome = writer.code_keys([DocumentKey(index, "3")])
    assert [key.id for key in outcome.written] == ["3"]
    assert "edits" in _codes(cluster, index)["3"]


def test_a_label_of_an_older_gram_os_gets_the_field(
    cluster: Cluster, make_index: MakeIndex, generator: Generator
) -> None:
    index = make_index()
    _write(cluster, index, {id_: {"title": title} for id_, title in TITLES.items()})
    attach(cluster, index, _state(generator))
    mapping = cluster.get_mapping(index)
    del mapping["properties"]["gram_t1"]["properties"]["edits"]
    old = make_index(properties=mapping["properties"], meta=mapping["_meta"])
    _write(cluster, old, {id_: {"title": title} for id_, title in TITLES.items()})
    EditBook(cluster).add(Correction(old, ids=("1",), add=("hp",)), "anna")
    assert backfill(cluster, old, _state(generator), generator) == BackfillReport(4)
    fields = cluster.get_mapping(old)["properties"]["gram_t1"]
    assert fields["properties"]["edits"] == {"type": "keyword"} and fields["dynamic"] == "strict"
    assert _codes(cluster, old)["1"]["codes"][0] == "hp"


def test_an_edit_of_an_alias_follows_it(
    cluster: Cluster, index: str, make_index: MakeIndex, generator: Generator
) -> None:
    alias = f"{index}-alias"
    cluster.request("PUT", f"/{index}/_alias/{alias}")
    number = EditBook(cluster).add(Correction(alias, ids=("2",), add=("xerox",)), "anna").number
    assert _backfill(cluster, index, generator) == 1
    second = make_index()
    attach(cluster, second, _state(generator))
    cluster.request("POST", "/_aliases", {"actions": [
        {"remove": {"index": index, "alias": alias}}, {"add": {"index": second, "alias": alias}},
    ]})  # fmt: skip
    _write(cluster, second, {"2": {"title": "HP laptop"}})
    backfill(cluster, alias, _state(generator), generator)
    assert _codes(cluster, second)["2"]["edits"][0].split(".")[0] == str(number)
    assert _backfill(cluster, index, generator) == 1  # no longer of the alias
    assert "edits" not in _codes(cluster, index)["2"]


def test_a_query_that_fails_later_changes_nothing(
    cluster: Cluster, index: str, generator: Generator, edit: Callable[..., int], caplog: pytest.LogCaptureFixture
) -> None:
    edit(ids=("3",), add=("hp",))
    number = edit(query={"range": {"title": {"gte": "a", "format": "no format"}}}, add=("xerox",))
    assert backfill(cluster, index, _state(generator), generator).refused == []
    assert [id_ for id_, codes in _codes(cluster, index).items() if "edits" in codes] == ["3"]
    assert f"edit {number}: its query fails" in caplog.text


def test_edits_of_another_cluster_are_not_taken_for_ours(
    cluster: Cluster, index: str, generator: Generator, edit: Callable[..., int]
) -> None:
    edit(ids=("2",), add=("xerox",))
    _backfill(cluster, index, generator)
    token = _codes(cluster, index)["2"]["edits"][0]
    foreign = token[:-4] + ("0000" if not token.endswith("0000") else "1111")
    _write(cluster, index, {"2": {"doc": {"gram_t1": {"edits": [foreign]}}}}, op="update")
    assert _backfill(cluster, index, generator) == 1
    assert _codes(cluster, index)["2"]["edits"] == [token]


def test_without_edits_a_run_asks_for_them_once_a_second_at_most(
    cluster: Cluster, index: str, generator: Generator
) -> None:
    with Relay(cluster.url) as relay:
        near = Cluster(ClusterSettings(url=relay.url))
        writer = LabelWriter(near, index, _state(generator), generator)
        hits = list(cluster.scan(index, query={"match_all": {}}, source=writer.fields))
        writer.read_all(hits)
        first, started = len(relay.requests), time.monotonic()
        for _ in range(500):
            assert all(isinstance(item, Document) and item.is_current for item in writer.read_all(hits))
        seconds, more = time.monotonic() - started, relay.requests[first:]
        near.close()
    assert first <= 4
    assert len(more) <= 1 + seconds * 4  # four where others edit in this very second
    assert all(f"/{INDEX}/" in line or "/_alias" in line for line in more)


def test_edits_by_id_take_no_more_requests(
    cluster: Cluster, index: str, generator: Generator, edit: Callable[..., int]
) -> None:
    edit(ids=("2",), add=("xerox",))
    _backfill(cluster, index, generator)
    with Relay(cluster.url) as relay:
        near = Cluster(ClusterSettings(url=relay.url))
        writer = LabelWriter(near, index, _state(generator), generator)
        hits = list(cluster.scan(index, query={"match_all": {}}, source=writer.fields))
        writer.read_all(hits)
        first = len(relay.requests)
        for _ in range(20):
            writer.read_all(hits)
        assert len(relay.requests) - first <= 2, relay.requests[first:]
        near.close()


def test_numbers_are_unique_when_many_edit_at_once(cluster: Cluster, index: str) -> None:
    def make(place: int) -> int:
        return EditBook(cluster).add(Correction(index, ids=(str(place),), add=("hp",)), f"user {place}").number

    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(make, range(24)))
    assert len(set(numbers)) == 24
    found = {edit.number: edit for edit in EditBook(cluster).list()}
    assert [found[number].who for number in numbers] == [f"user {place}" for place in range(24)]


def test_an_edit_is_undone_once(cluster: Cluster, edit: Callable[..., int]) -> None:
    number = edit(ids=("2",), add=("hp",))
    assert EditBook(cluster).undo(number, "ben").undone_by == "ben"
    with pytest.raises(InputError, match=f"edit {number} was undone before, by ben"):
        EditBook(cluster).undo(number, "ben")
    with pytest.raises(InputError, match="there is no edit 99999999"):
        EditBook(cluster).undo(99999999, "ben")


@pytest.fixture
def verb(opensearch_url: str, index: str, generator: Generator, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Done]:
    """Run `gram-os edit ...` as anna, on the index."""
    monkeypatch.setenv("GRAM_OS_USER", "anna")

    def call(*args: str, bundle: bool = True) -> Done:
        more = ["--bundle", str(generator.bundle.path)] if bundle else []
        return run("edit", *args, *more)

    return call


def test_the_verb_makes_lists_and_undoes_edits(verb: Callable[..., Done], index: str) -> None:
    done = verb("codes", "--index", index, "--id", "2", "--id", "77", "--add", "Toner Cartridges | Acme", "--note", "x")
    assert done.code == 0, done.err
    assert "'Toner Cartridges | Acme' is read as 'toner cartridge | acm'" in done.out
    assert "the model does not know 'acm', so only queries with its words find it; write its type" in done.out
    assert f"'{index}' has no product 77 yet" in done.out
    assert "add Toner Cartridges | Acme to 2, 77 (now 1 product)" in done.out
    assert f"without one, run: gram-os backfill --index {index}" in done.out
    done = verb("forbid", "wireless", "--type", "mouse", "--index", index, "--json")
    number = done.json()["edits"][0]["edit"]
    assert done.json()["edits"][0]["products"] >= 1
    listed = verb("list", "--index", index, "--json", bundle=False).json()["edits"]
    assert [(e["kind"], e["who"]) for e in listed] == [("codes", "anna"), ("forbid", "anna")]
    assert listed[0]["note"] == "x" and listed[0]["add"] == ["Toner Cartridges | Acme"]
    assert "no wireless for the type mouse" in verb("undo", str(number), bundle=False).out
    assert len(verb("list", "--index", index, "--json", bundle=False).json()["edits"]) == 1
    listed = verb("list", "--index", index, "--all", "--json", bundle=False).json()["edits"]
    assert listed[1]["undone_by"] == "anna"
    assert verb("undo", str(number), bundle=False).code == 2


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["codes", "--id", "2"], "needs a code to add or to remove"),
        (["codes", "--add", "hp"], "for ids or for a query"),
        (["codes", "--id", "2", "--add", "hp | toner", "--remove", "HP"], "adds and removes HP"),
        (["codes", "--id", "2", "--add", "the"], "holds no word"),
        (["codes", "--id", "2", "--add", "color=red"], "'color' is no type of values"),
        (["codes", "--query", '{"term": {"gram_t1.codes": "toner"}}', "--remove", "hp"], "change its own answer"),
        (["codes", "--query", '{"nonsense": {}}', "--remove", "hp"], "query of the edit cannot be used"),
    ],
)
def test_an_edit_that_cannot_be_is_refused(
    cluster: Cluster, verb: Callable[..., Done], index: str, args: list[str], words: str
) -> None:
    done = verb(*args, "--index", index)
    assert (done.code, words in done.err) == (2, True), done.err
    assert all(edit.correction.index != index for edit in EditBook(cluster).list())


def test_a_file_is_imported_as_a_whole_or_not_at_all(
    cluster: Cluster, verb: Callable[..., Done], index: str, tmp_path: Path
) -> None:
    file = tmp_path / "edits.jsonl"
    lines = [
        '{"ids": ["2"], "add": ["toner"]}',
        '{"ids": ["2"]}',
        '{"forbid": "red", "type": "mouse"}',
        "{",
        '{"x": 1}',
    ]
    file.write_text("\n".join(lines), encoding="utf-8")
    done = verb("import", str(file), "--index", index)
    assert done.code == 2
    assert [f"line {number}:" in done.err for number in range(1, 6)] == [False, True, False, True, True]
    assert "nothing was written" in done.err
    assert all(edit.correction.index != index for edit in EditBook(cluster).list())
    file.write_text("\n".join([lines[0], lines[2]]), encoding="utf-8")
    assert len(verb("import", str(file), "--index", index, "--json").json()["edits"]) == 2
    assert [edit.correction.index for edit in EditBook(cluster).list()].count(index) == 2


def test_search_explains_who_edited(
    cluster: Cluster, index: str, generator: Generator, edit: Callable[..., int]
) -> None:
    number = edit(ids=("2",), add=("toner",))
    _backfill(cluster, index, generator)
    cluster.refresh(index)
    answer = open_pipeline(cluster, index, generator=generator).search("toner", mode=Mode.GRAM, explain=True)
    edits = {hit.id: hit.edits for hit in answer.hits}
    assert [token.split(".")[0] for token in edits["2"]] == [str(number)] and edits["1"] == ()
    plain = open_pipeline(cluster, index, generator=generator).search("toner", mode=Mode.GRAM)
    assert all(hit.edits == () for hit in plain.hits)
