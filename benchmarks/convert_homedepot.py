"""Convert Kaggle's "Home Depot Product Search Relevance" files into the form that the benchmarks read.

python benchmarks/convert_homedepot.py --from FOLDER --to FOLDER [--like FOLDER]

The folder of --from holds train.csv, attributes.csv and product_descriptions.csv as Kaggle gives them. Queries are
split by their text: all pairs of a query are on one side. --like names a folder of an earlier conversion. Its split and
its query ids are used, and queries that it lacks are left out. The competition's terms of use apply to the data, so
nothing of it goes into the repository.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from gram_os.catalogue import read_queries
from gram_os.errors import GramError, InputError

ENCODING = "iso-8859-1"  # of Kaggle's files; every byte is a character of it
SPLITS = ("train", "dev")
DEV_SHARE = 8  # one of so many query texts, chosen by its hash, is in dev
ATTRIBUTES: Mapping[str, str] = {
    "MFG Brand Name": "brand",
    "Color Family": "color",
    "Color/Finish": "color",
    "Color": "color",
    "Material": "material",
}
SEVERAL = ("color", "material")  # fields that are lists; a product has one brand

Judged = dict[str, dict[str, list[float]]]


def convert(source: Path, target: Path, like: Path | None) -> dict[str, int]:
    """Write products, queries and judgments. Returns the number of each."""
    judged, titles = read_pairs(source / "train.csv")
    ids = name_queries(judged) if like is None else read_split(like)
    kept = {text: query_id for text, query_id in ids.items() if text in judged}
    target.mkdir(parents=True, exist_ok=True)
    counts = {"products": write_products(target, source, titles)}
    for split in SPLITS:
        chosen = {text: id_ for text, id_ in kept.items() if id_.startswith(f"hd-{split}-")}
        counts[f"{split} queries"] = len(chosen)
        counts[f"{split} judgments"] = write_split(target, split, chosen, judged)
    return counts


def read_pairs(path: Path) -> tuple[Judged, dict[str, str]]:
    """Return query text -> product id -> grades, and product id -> title."""
    judged: Judged = {}
    titles: dict[str, str] = {}
    for row in read_csv(path, "product_uid", "product_title", "search_term", "relevance"):
        text = " ".join(row["search_term"].split())
        judged.setdefault(text, {}).setdefault(row["product_uid"], []).append(float(row["relevance"]))
        titles[row["product_uid"]] = " ".join(row["product_title"].split())
    return judged, titles


def name_queries(judged: Judged) -> dict[str, str]:
    """Return query text -> id. The id names the split. The hash of the text decides it, not the order of the file."""
    ids = {}
    counted: dict[str, int] = defaultdict(int)
    for text in sorted(judged):
        digest = hashlib.sha256(text.lower().encode()).digest()
        split = "dev" if int.from_bytes(digest[:4], "big") % DEV_SHARE == 0 else "train"
        ids[text] = f"hd-{split}-{counted[split]:05d}"
        counted[split] += 1
    return ids


def read_split(folder: Path) -> dict[str, str]:
    """Return query text -> id of a folder that an earlier conversion wrote."""
    return {query.text: query.id for split in SPLITS for query in read_queries(folder / f"queries.{split}.tsv")}


def write_products(target: Path, source: Path, titles: Mapping[str, str]) -> int:
    """Write every judged product, with brand, colours, materials and description where they are known.

    Returns the number of products.
    """
    fields: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for row in read_csv(source / "attributes.csv", "product_uid", "name", "value"):
        field, value = ATTRIBUTES.get(row["name"]), row["value"].strip()
        if field and value and value not in fields[row["product_uid"]][field]:
            fields[row["product_uid"]][field].append(value)
    descriptions = source / "product_descriptions.csv"
    for row in read_csv(descriptions, "product_uid", "product_description"):
        fields[row["product_uid"]]["description"].append(" ".join(row["product_description"].split()))
    with gzip.open(target / "products.jsonl.gz", "wt", encoding="utf-8") as out:
        for id_, title in sorted(titles.items()):
            found = {name: values if name in SEVERAL else values[0] for name, values in fields[id_].items()}
            out.write(json.dumps({"id": id_, "title": title, **found}, ensure_ascii=False) + "\n")
    return len(titles)


def write_split(target: Path, split: str, ids: Mapping[str, str], judged: Judged) -> int:
    """Write the queries and judgments of one split. A pair that was judged twice gets the mean of its grades.

    Returns the number of judgments.
    """
    in_order = sorted(ids.items(), key=lambda item: item[1])
    queries = "".join(f"{query_id}\t{text}\n" for text, query_id in in_order)
    lines = [
        f"{query_id}\t{product}\t{round(sum(grades) / len(grades), 4):g}\n"
        for text, query_id in in_order
        for product, grades in sorted(judged[text].items())
    ]
    (target / f"queries.{split}.tsv").write_text(queries, encoding="utf-8")
    header = "query_id\tproduct_id\trelevance\n"
    (target / f"judgments.{split}.tsv").write_text(header + "".join(lines), encoding="utf-8")
    return len(lines)


def read_csv(path: Path, *columns: str) -> Iterator[dict[str, str]]:
    """Stream the rows of one of Kaggle's files. Raises InputError for a missing file or column."""
    if not path.is_file():
        raise InputError(f"there is no {path}; download the competition's files and unpack them there")
    with path.open(encoding=ENCODING, newline="") as file:
        rows = csv.DictReader(file)
        if missing := set(columns) - set(rows.fieldnames or ()):
            raise InputError(f"{path} has no column {', '.join(sorted(missing))}")
        # attributes.csv has rows without a product. They are useless.
        yield from (row for row in rows if all(row[column] for column in columns))


def main() -> int:
    """Convert, and print the number of products, queries and judgments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="source", type=Path, required=True)
    parser.add_argument("--to", dest="target", type=Path, required=True)
    parser.add_argument("--like", type=Path, help="folder of an earlier conversion, whose split and query ids are used")
    options = parser.parse_args()
    try:
        counts = convert(options.source, options.target, options.like)
    except GramError as error:
        print(f"{Path(__file__).name}: {error}", file=sys.stderr)
        return error.exit_code
    print(", ".join(f"{count:,} {name}" for name, count in counts.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
