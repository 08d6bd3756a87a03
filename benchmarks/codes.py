"""What the codes of a coded catalogue are worth: how many, of how many attributes, and whether they are true.

python benchmarks/codes.py [--bundle FOLDER] [--catalogue FILE | --index NAME] [--labels FOLDER] [--json]
python benchmarks/codes.py --taxonomy FOLDER --catalogue FILE --category-field category
python benchmarks/codes.py --draw 300 --seed 1 --out FOLDER

By default the sample catalogue is coded in memory. `--index` reads the codes of an index that the bundle has coded.
A brand or a colour is wrong when neither a field nor a text of the product holds it. Judged samples
(benchmarks/code_labels.py) are read from `--labels` where they are there. `--draw` writes fresh ones to judge.

With `--taxonomy` the product types are compared with the catalogue's category paths. Give a bundle that was trained
without the category field: the type must be one of the last two elements of the path, or a name that the taxonomy gives
these.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.code_labels import draw_samples, measure_labels
from benchmarks.code_measures import CodedProduct, Facts, measure_codes
from benchmarks.coded_index import open_cluster
from benchmarks.measures import Measure, print_measures
from gram_os.catalogue import Product, name_as_index, read_products
from gram_os.cluster.dsl import code_field
from gram_os.cluster.labels import require_label
from gram_os.data import sample_file
from gram_os.errors import GramError, InputError
from gram_os.fields import read_field
from gram_os.ingest.documents import read_document
from gram_os.ingest.writing import Refusal
from gram_os.model.backbone import load_generator
from gram_os.model.bundle import Bundle
from gram_os.model.generator import Generator
from gram_os.text.code import Code
from gram_os.text.normalise import Normaliser
from gram_os.train.types.names import NameWords, split_names
from gram_os.train.types.taxonomy import Taxonomy, read_taxonomy

LABELS = Path(__file__).parents[1] / "tests" / "data"
CATEGORY_GOAL = 0.75


def code_catalogue(generator: Generator, products: Iterable[Product]) -> Iterator[CodedProduct]:
    """Code a catalogue in memory, in order."""
    kept: list[Product] = []

    def read() -> Iterator[Product]:
        for product in products:
            kept.append(product)
            yield product

    for at, coded in enumerate(generator.code_products(read())):
        attributes: dict[str, list[str]] = defaultdict(list)
        for found in coded.attributes:
            attributes[found.type.value].append(found.value)
        yield CodedProduct(kept[at], tuple(scored.code for scored in coded.codes), attributes)


def read_index(url: str | None, index: str, bundle: Bundle) -> Iterator[CodedProduct]:
    """Read the products of an index with the codes of its active label."""
    with open_cluster(url) as cluster:
        state = require_label(cluster, index)
        for hit in cluster.scan(index, query={"match_all": {}}, source=True):
            document = read_document(hit, state, bundle)
            found = hit["_source"].get(code_field(state.label))
            if not isinstance(document, Refusal) and found:
                codes = tuple(Code.parse(code) for code in found["codes"])
                yield CodedProduct(document.product, codes, found["attributes"])


def measure_categories(
    products: Iterable[CodedProduct], field: str, taxonomy: Taxonomy, normaliser: Normaliser
) -> list[Measure]:
    """Return the share of products whose type is a name of the last two elements of their category path.

    A second share counts a product whose broader type, or whose own name of its type, is one too.
    Products without a path are left out. Raises InputError where no product has one.
    """
    paths = [(one, _last_names(read_field(one.product.fields, field))) for one in products]
    paths = [(one, names) for one, names in paths if names]
    if not paths:
        raise InputError(f"no product has a category path in the field '{field}'; give --category-field")
    words = NameWords([*(category.name for category in taxonomy), *(name for _, names in paths for name in names)])
    known = _group_names(taxonomy, words, normaliser)
    first, some = 0, 0
    for one, names in paths:
        elements = {normaliser.value(text) for name in names for text in (name, *split_names(name, words))}
        elements = elements.union(*(known.get(name, ()) for name in elements))
        first += one.type in elements
        some += not elements.isdisjoint(one.attributes.get("product_type", ()))
    return [
        Measure("product_type.in_category", first / len(paths), "ratio", CATEGORY_GOAL, at_least=True),
        Measure("product_type.any_in_category", some / len(paths), "ratio"),
        Measure("product_type.in_category.products", len(paths), "products"),
    ]


def _last_names(path: object) -> list[str]:
    """Return the last two elements of a category path: a list of texts, or a text with > between them."""
    elements = path if isinstance(path, list) else path.split(">") if isinstance(path, str) else []
    return [element.strip() for element in elements if isinstance(element, str) and element.strip()][-2:]


def _group_names(taxonomy: Taxonomy, words: NameWords, normaliser: Normaliser) -> Mapping[str, set[str]]:
    """Return each name of the taxonomy's categories with the other names of the same categories."""
    known: dict[str, set[str]] = defaultdict(set)
    for category in taxonomy:
        names = {normaliser.value(text) for text in (category.name, *split_names(category.name, words))}
        for name in names:
            known[name] |= names
    return known


def parse_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--bundle", type=Path, help="model folder; by default the shipped one")
    add("--catalogue", type=Path, default=sample_file("products.jsonl.gz"), help="products; by default the sample")
    add("--index", help="an index that the bundle has coded; by default the catalogue is coded in memory")
    add("--url", help="a cluster; by default a node of its own")
    add("--labels", type=Path, default=LABELS, help="folder of judged samples (default tests/data)")
    add("--taxonomy", type=Path, help="folder of taxonomy files: compare product types with category paths")
    add("--category-field", default="category", help="field of the category paths (default %(default)s)")
    add("--draw", type=int, metavar="N", help="write samples of N rows to judge, and measure nothing else")
    add("--seed", type=int, default=0, help="of the samples (default %(default)s)")
    add("--out", type=Path, default=Path(), help="folder of the samples (default: where you are)")
    add("--json", action="store_true", help="print the measures as JSON")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print. Returns the exit code, which is 1 when a goal is missed."""
    options = parse_options(arguments)
    logging.basicConfig(format="%(asctime)s %(message)s", stream=sys.stderr)
    try:
        bundle = Bundle.load(options.bundle)
        products = list(_read(options, bundle))
        if not products:
            raise InputError(f"{options.index or options.catalogue} holds no product with codes")
        if options.draw is not None:
            for path in draw_samples(products, options.draw, options.seed, options.out):
                print(path)
            return 0
        measures = measure_codes(products, Facts(bundle.normaliser, bundle.manifest.attributes))
        measures += measure_labels(products, options.labels)
        if options.taxonomy is not None:
            taxonomy = read_taxonomy(options.taxonomy)
            measures += measure_categories(products, options.category_field, taxonomy, bundle.normaliser)
    except GramError as error:
        print(f"{Path(__file__).name}: {error}", file=sys.stderr)
        return error.exit_code
    title = f"codes of {len(products)} products, {options.index or options.catalogue}"
    print_measures(title, measures, as_json=options.json)
    return int(any(measure.holds is False for measure in measures))


def _read(options: argparse.Namespace, bundle: Bundle) -> Iterator[CodedProduct]:
    if options.index:
        return read_index(options.url, options.index, bundle)
    return code_catalogue(load_generator(options.bundle), name_as_index(list(read_products(options.catalogue))))


if __name__ == "__main__":
    sys.exit(main())
