"""Write the sample catalogue: Chorus' Icecat catalogue with the fields that at least one product in a hundred fills.

    uv run python scripts/make_sample.py SOURCE gram_os/data/sample

SOURCE is the folder with Chorus' files (products.jsonl.gz, queries.open.tsv, judgments.open.tsv). Five thousand rarely
filled attributes and the sizes of boxes and pallets are left out. Queries and judgments are copied.
"""

import gzip
import json
import shutil
import sys
from collections import Counter
from pathlib import Path

LEFT_OUT = ("package_", "master__outer", "pallet", "master_", "dimensions__")


def main(source: Path, target: Path) -> None:
    """Read the catalogue in `source`, write the sample into `target`."""
    with gzip.open(source / "products.jsonl.gz", "rt", encoding="utf-8") as lines:
        products = [json.loads(line) for line in lines]
    filled = Counter(name for product in products for name in product)
    kept = {
        name
        for name, count in filled.items()
        if count >= 0.01 * len(products) and not any(part in name for part in LEFT_OUT)
    }
    target.mkdir(parents=True, exist_ok=True)
    # mtime=0: the same catalogue gives the same bytes.
    with (
        (target / "products.jsonl.gz").open("wb") as raw,
        gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as out,
    ):
        for product in products:
            row = {name: value for name, value in product.items() if name in kept}
            out.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
    for name in ("queries", "judgments"):
        shutil.copyfile(source / f"{name}.open.tsv", target / f"{name}.tsv")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
