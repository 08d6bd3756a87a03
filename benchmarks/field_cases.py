"""How many of people's real inputs do what they should: files of products through `gram-os load`, on a real cluster.

python benchmarks/field_cases.py --data DIR [--json]

DIR holds one folder a kind, `08-csv-in-the-wild` and so on. Each file is loaded into an index of its own through the
real verb. The tables below say for each file: the verb's options, its exit code, how many documents the index has
afterwards, and what else must be true. Judgment files go through the readers of `gram-os evaluate`. `OPENSEARCH_URL`
names the cluster; without it the embedded node runs.

Other scripts of this folder bring cases of their own, each with `run(data, cluster) -> list[Case]`: see `OTHERS`.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.field_case import Case
from benchmarks.measures import Measure, print_measures
from gram_os.catalogue import read_judgments, read_queries
from gram_os.cluster.client import Cluster
from gram_os.embedded import resolve_cluster
from gram_os.errors import FileFormatError
from gram_os.settings import load_settings
from tests.command import Done, run

#: Modules with further cases. One that is not there is left out.
OTHERS = ("benchmarks.field_cases_text", "benchmarks.field_cases_index")

_DONE, _REFUSED, _IN_PART = 0, 2, 3


@dataclass(frozen=True, slots=True)
class FileCase:
    """A file of products, and what must become of it.

    documents: how many the index has; None where no index may be left. says: a part of what the verb prints. document:
    fields of one document. types: field -> type in the mapping. finds: a clause, and the ids that it finds.
    """

    file: str
    options: Sequence[str] = ()
    code: int = _DONE
    documents: int | None = None
    says: str = ""
    document: Mapping[str, Any] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)
    finds: tuple[Mapping[str, Any], frozenset[str]] | None = None

    @property
    def expected(self) -> str:
        """The case in words."""
        if self.documents is None:
            return f"exit {self.code}, no index: {self.says}"
        parts = [f"exit {self.code}, {self.documents} documents", self.says]
        parts += [f"{name} = {str(value)[:40]!r}" for name, value in self.document.items()]
        parts += [f"{name} is {kind}" for name, kind in self.types.items()]
        parts += [f"filter finds {sorted(self.finds[1])}"] if self.finds else []
        return "; ".join(part for part in parts if part)


def _loads(file: str, documents: int, *options: str, **checks: Any) -> FileCase:
    return FileCase(file, options, _DONE, documents, **checks)


def _refuses(file: str, says: str, *options: str) -> FileCase:
    return FileCase(file, options, _REFUSED, None, says)


def _skips(file: str, documents: int, *options: str, **checks: Any) -> FileCase:
    return FileCase(file, (*options, "--skip-faulty"), _IN_PART, documents, **checks)


def _columns(id_field: str, title_field: str = "title") -> tuple[str, ...]:
    return ("--id-field", id_field, "--title-field", title_field)


def _below(name: str, number: float, *ids: str) -> dict[str, Any]:
    return {"finds": ({"range": {name: {"lt": number}}}, frozenset(ids))}


_NOT_FLOAT_ID = "an id is text or an integer, not the number 1.0"
_ONE_DOCUMENT = "is one JSON document; write one object a line"

FILES: Sequence[FileCase] = (
    _loads("08/a_pandas_index.csv", 2, says="column 1 has no name", document={"id": "11", "price": 19.9}),
    _loads("08/b_dots_end.csv", 2, *_columns("Art. No."), says="'Qty.' is 'Qty'", document={"Qty": 5, "Wt_(kg)": 0.1}),
    _loads("08/c_prefix.csv", 2, says="'brand.name' is 'brand_name'", document={"brand": "Lumo", "price": 19.9}),
    _loads("08/d2_underscore.csv", 2, says="'_id' is 'id_2'", document={"id": "1", "index": "products"}),
    _loads("08/d_underscore.csv", 2, *_columns("_id"), says="'_id' is 'id'", document={"id": "1", "score": 1}),
    _refuses("08/e_shopify.csv", "line 4, field 'Title': is missing", *_columns("Handle", "Title")),
    _skips(
        "08/e_shopify.csv",
        2,
        *_columns("Handle", "Title"),
        says="2 rows skipped",
        **_below("Variant Price", 10, "wool-sock"),
    ),
    _loads("08/f_woo.csv", 3, *_columns("ID", "Name"), **_below("Regular price", 10, "19")),
    _refuses("08/g_cp1252.csv", "line 2: byte 0xfc at position 4 is not UTF-8; save the file as UTF-8"),
    _loads("08/g_semicolon.csv", 2, says="--field 'preis=float' reads them", document={"preis": "1.299,00 €"}),
    _loads("08/g_semicolon.csv", 2, "--field", "preis=float", **_below("preis", 500, "2")),
    _loads("08/g_sep.csv", 1, document={"title": "Kettle"}),
    _loads("08/g_utf16.csv", 1, document={"title": "Kühlschrank"}),
    _loads("08/h_commas.csv", 2),
    _refuses("08/h_short.csv", "line 2: 3 cells, but the header has 4"),
    _skips("08/h_short.csv", 1, says="1 row skipped"),
    _loads("08/h_trailing.csv", 2, document={"brand": "Aqua", "color": "red"}),
    _loads("08/i_big_cell.csv", 2, types={"body": "keyword"}),
    _loads("08/j_cr.csv", 2, document={"title": "Kettle"}),
    _loads("08/k_backslash.csv", 2, document={"title": 'Screen 24" wide', "body": 'says "hi", ok'}),
    _refuses("08/l_twice.csv", "field 'image': this column is there twice; rename one"),
    _loads("08/m_header.csv", 1, *_columns("Id", "Title"), document={"title": "Kettle", "Price": 9}),
    _loads(
        "08/n_dup.csv", 2, says="ids that the file has more than once, such as '1'", document={"title": "Kettle blue"}
    ),
    _loads("08/o_quote.tsv", 2, document={"title": '"Best Dad" mug', "price": 9}),
    _loads("08/o_quote_end.tsv", 3, **_below("price", 6, "2")),
    _loads("08/p_currency.csv", 2, says="--field 'price=float' reads them", document={"price": "9.99 USD"}),
    _loads("08/p_currency.csv", 2, "--field", "price=float", **_below("price", 10, "1")),
    _loads("08/p_price.csv", 4, types={"price": "double"}, **_below("price", 10, "1", "4")),
    _loads("08/q_empty_headers.csv", 2, document={"title": "Kettle"}),
    _loads("08/r_google.txt", 1, says="--field 'g:price=float' reads them", document={"title": "Kettle"}),
    _refuses("08/s_off.csv", "line 3, field 'product_name': is missing", *_columns("code", "product_name")),
    _skips("08/s_off.csv", 2, *_columns("code", "product_name"), document={"code": "0001", "title": "Nut spread"}),
    _refuses("10/a2_amazon_empty_title.jsonl", "line 2, field 'title': is missing", *_columns("parent_asin")),
    _skips("10/a2_amazon_empty_title.jsonl", 2, *_columns("parent_asin"), says="1 row skipped"),
    _loads("10/a_amazon.jsonl", 3, *_columns("parent_asin"), says="field 'details' is kept but cannot be searched"),
    _refuses("10/b_loose.jsonl", "line 1: broken JSON at column 2", *_columns("asin")),
    _refuses("10/c_array.json", _ONE_DOCUMENT),
    _refuses("10/c_array_one.json", _ONE_DOCUMENT),
    _refuses("10/c_pretty.json", _ONE_DOCUMENT),
    _refuses("10/c_products.json", _ONE_DOCUMENT),
    _loads("10/d_esdump.jsonl", 2, *_columns("_id", "_source.title"), document={"id": "1", "title": "Linen shirt"}),
    _refuses("10/e_bulk.ndjson", "is a bulk request; write one product a line"),
    _loads("10/f_mongo.json", 1, *_columns("_id"), document={"id": "65f0c0ffee0000000000aa01", "price": 49.0}),
    _refuses("10/g_nan.jsonl", "line 1: broken JSON: NaN is no JSON number"),
    _refuses("10/h_comma.json", _ONE_DOCUMENT),
    _loads("10/i_locale.jsonl", 1, *_columns("id", "title.en-GB"), document={"title": "Linen shirt"}),
    _refuses("10/j_float_id.jsonl", _NOT_FLOAT_ID),
    _refuses("10/j_num_title.jsonl", "a title is text, not the number 1984"),
    _loads("10/k_long_nested.jsonl", 2, finds=({"match": {"description.en.text": "linen"}}, frozenset("1"))),
    _loads("10/l_deep.jsonl", 2, types={"category": "flat_object"}),
    _loads("10/m_odd_objects.jsonl", 3),
    _loads("10/n2_names.jsonl", 1, says="'a..b' is 'a_b'", document={"lead": "y", "source": "s", "unnamed": "3"}),
    _loads("10/n_names.jsonl", 2, says="'title.de' is 'title_de'", document={"title_de": "Leinenhemd"}),
    _refuses("10/o2_id_513.jsonl", "514 bytes long; OpenSearch takes ids up to 512 bytes"),
    _loads("10/o_ids.jsonl", 19),
    FileCase("10/p_numbers.jsonl", (), _IN_PART, 1, "refused: product '1'"),  # 1e400 is no number of the cluster's
    _loads("10/q_dates.jsonl", 2, types={"created": "keyword", "t": "keyword", "u": "date"}),
    _refuses("10/r2_half.jsonl", "line 1: holds half a surrogate pair"),
    _skips("10/r2_half.jsonl", 1, says="1 row skipped"),
    _loads("10/r_text.jsonl", 3),
    _loads("18/a_esci.parquet", 2, *_columns("product_id", "product_title"), says="such as 'B1': the last row counts"),
    _refuses("18/b_types.parquet", "field 'img': a value of type bytes has no JSON form"),
    _refuses("18/c_float_id.parquet", _NOT_FLOAT_ID),
    _refuses("18/d_null_title.parquet", "line 2, field 'title': is missing"),
    _refuses("18/e_dup_ts.parquet", "field 'time': a value of type timedelta has no JSON form"),
    _loads("18/f_feed.xml", 1, document={"id": "1", "title": "Wool sock"}),
    _loads("18/g_gz_without_suffix.csv", 1, document={"title": "Wool sock"}),
    _refuses("18/h.zip", "is a zip archive; unpack it"),
    _refuses("18/h_zip_named.csv", "is a zip archive; unpack it"),
    _refuses("18/i_plain.csv.gz", "it is not gzip and .gz does not belong in its name"),
    _refuses("18/j_bigcommerce.csv", "line 3, field 'Product ID': is missing", *_columns("Product ID", "Product Name")),
    _skips("18/j_bigcommerce.csv", 2, *_columns("Product ID", "Product Name"), **_below("Price", 10, "77")),
    _loads("18/k_magento.csv", 2, *_columns("sku", "name"), **_below("price", 10, "WS-S")),
    _loads("18/l_akeneo.csv", 1, *_columns("sku", "name-en_US"), document={"price-EUR": 9.0}),
    _loads("18/m_html_title.csv", 2),
    _loads("18/n_spaces.csv", 2, document={"id": "1", "title": "Kettle steel", "price": 9}),
    _loads("18/o_allcaps.csv", 3),
)

# File -> how many judgments or queries it has, or a part of the reason why it is refused.
JUDGMENTS: Mapping[str, int | str] = {
    "14/j.tsv": 3,
    "14/j_all_one.tsv": 2,
    "14/j_all_zero.tsv": 2,
    "14/j_comma.tsv": "line 2, field 'relevance': the text '2,5' is no finite number",
    "14/j_dup.tsv": "line 3: query 'q1' and product 'h1' are judged in an earlier line already",
    "14/j_empty_rating.tsv": "line 3, field 'relevance': the text '' is no finite number",
    "14/j_esci.tsv": "line 2, field 'relevance': the text 'E' is no finite number",
    "14/j_neg.tsv": 3,
    "14/j_other.tsv": 2,
    "14/j_qrels.txt": 3,
    "14/j_qrels_iter.txt": 2,
    "14/j_quepid.csv": "line 1: the first line is a TSV header 'query_id product_id relevance'",
    "14/j_rank_header.tsv": "line 1: the first line is a TSV header 'query_id product_id relevance'",
    "14/j_spaces.tsv": 2,
    "14/j_text_query.tsv": 2,
    "14/j_upper.tsv": 2,
    "14/q.csv": "line 1: 1 cells; a line is query_id<TAB>text",
    "14/q.tsv": 2,
    "14/q_header_bom.tsv": 1,
    "14/q_header_qid.tsv": 2,
    "14/q_three.tsv": "line 1: 3 cells; a line is query_id<TAB>text",
    "14/q_twice.tsv": "line 2, field 'query_id': 'q1' is in line 1 already",
}


def find_file(data: Path, name: str) -> Path:
    """Return the path of a case's file. `08/a.csv` lies in the folder whose name begins with `08-`."""
    folder, _, file = name.partition("/")
    return next(data.glob(f"{folder}-*")) / file


def run_file(case: FileCase, data: Path, cluster: Cluster) -> Case:
    """Load a file through the verb into an index of its own, which is deleted afterwards."""
    index = f"field-case-{uuid.uuid4().hex}"
    try:
        done = run("load", str(find_file(data, case.file)), "--index", index, "--url", cluster.url, *case.options)
        wrong = _find_faults(case, done, index, cluster)
    finally:
        if cluster.index_exists(index):
            cluster.delete_index(index)
    options = " ".join(part for part in case.options if part.startswith("--") and not part.endswith("-field"))
    return Case(f"{case.file} {options}".strip(), case.expected, "; ".join(wrong) or "as expected", not wrong)


def _find_faults(case: FileCase, done: Done, index: str, cluster: Cluster) -> list[str]:
    """Say what is not as the case expects."""
    wrong = []
    said = done.out + done.err
    if done.code != case.code:
        wrong.append(f"exit {done.code}: {said.strip()[-300:]}")
    if case.says not in said:
        wrong.append(f"it says: {said.strip()[-300:]}")
    exists = cluster.index_exists(index)
    documents = cluster.count(index) if exists else None
    if documents != case.documents:
        wrong.append(f"{documents} documents")
    if not exists:
        return wrong
    hits = cluster.search(index, {"size": 100})["hits"]["hits"]
    if not any(hit["_source"].items() >= case.document.items() for hit in hits):
        wrong.append(f"the documents are {json.dumps([hit['_source'] for hit in hits], ensure_ascii=False)[:300]}")
    properties = cluster.get_mapping(index)["properties"]
    types = {name: properties.get(name, {}).get("type", "object") for name in case.types}
    if types != case.types:
        wrong.append(f"the types are {types}")
    if case.finds:
        clause, wanted = case.finds
        found = {hit["_id"] for hit in cluster.search(index, {"size": 100, "query": clause})["hits"]["hits"]}
        if found != wanted:
            wrong.append(f"the filter finds {sorted(found)}")
    return wrong


def run_judgments(name: str, expected: int | str, data: Path) -> Case:
    """Read a file of judgments or queries as `gram-os evaluate` does."""
    path = find_file(data, name)
    try:
        rows = read_queries(path) if path.name.startswith("q") else read_judgments(path)
        found = f"{len(rows)} rows"
        holds = len(rows) == expected
    except FileFormatError as error:
        found = str(error).removeprefix(f"{path}, ")
        holds = isinstance(expected, str) and expected in str(error)
    return Case(name, f"{expected} rows" if isinstance(expected, int) else f"refused: {expected}", found, holds)


def run_all(data: Path, cluster: Cluster) -> dict[str, list[Case]]:
    """Run the cases of this file and of `OTHERS`. Returns kind -> its cases."""
    kinds = {
        "file cases": [
            *(run_file(case, data, cluster) for case in FILES),
            *(run_judgments(name, expected, data) for name, expected in JUDGMENTS.items()),
        ]
    }
    for module in OTHERS:
        if importlib.util.find_spec(module):
            kind = f"{module.rpartition('_')[2]} cases"
            kinds[kind] = importlib.import_module(module).run(data, cluster)
    return kinds


def main() -> None:
    """Run and print. The table lists the cases that do not hold."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with a folder for each kind of case")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    with resolve_cluster(load_settings()) as cluster:
        kinds = run_all(args.data, cluster)
    cases = [case for kind in kinds.values() for case in kind]
    if args.json:
        rows = [{"case": c.name, "expected": c.expected, "found": c.found, "holds": c.holds} for c in cases]
        sys.stdout.write("".join(json.dumps(row) + "\n" for row in rows))
    else:
        table = Table("case", "expected", "found", title="Cases that do not hold")
        for case in cases:
            if not case.holds:
                table.add_row(case.name, case.expected, case.found)
        Console(width=None if sys.stdout.isatty() else 160).print(table)
    measures = [
        Measure(f"{kind} as the table says", sum(case.holds for case in found), "cases", len(found), at_least=True)
        for kind, found in kinds.items()
    ]
    print_measures("Inputs from the field", measures, as_json=args.json)


if __name__ == "__main__":
    main()
