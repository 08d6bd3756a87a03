# /// script
# requires-python = "==3.11.*"
# dependencies = ["libpecos==1.2.8"]
#
# # What XR-Linear itself imports. libpecos also requires torch, transformers and datasets, for models not used here.
# [[tool.uv.dependency-metadata]]
# name = "libpecos"
# version = "1.2.8"
# requires-dist = ["numpy>=1.26,<2", "scipy>=1.11,<1.14", "scikit-learn>=1.4,<1.8"]
# ///
"""XR-Linear in an environment of its own: texts in, scores out (`xr_linear.py` starts it).

libpecos 1.2.8 works only with numpy below 2 and scipy below 1.14 (it calls `scipy.sparse.sputils`). The project must
not be limited to these versions. Knows nothing of the project: it reads task.json and writes scores.npz, in the folder
of argv[1].
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from pecos.xmc import Indexer, LabelEmbeddingFactory
from pecos.xmc.xlinear.model import XLinearModel
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize


def main(folder: Path) -> None:
    """Train on titles and clicked queries, and score the products for the test queries."""
    task = json.loads((folder / "task.json").read_text(encoding="utf-8"))
    settings = task["settings"]
    titles, train_queries = task["titles"], task["train_queries"]
    vectorizers = [
        TfidfVectorizer(ngram_range=(1, settings["words"]), sublinear_tf=True, token_pattern=r"\S+", dtype=np.float32),
        TfidfVectorizer(
            ngram_range=(3, settings["characters"]), analyzer="char_wb", sublinear_tf=True, dtype=np.float32
        ),
    ]  # fmt: skip
    fitted = [vectorizer.fit(titles + train_queries) for vectorizer in vectorizers]

    def features(texts: list[str]) -> Any:
        parts = [normalize(vectorizer.transform(texts)) for vectorizer in fitted]
        return normalize(sp.hstack(parts).tocsr()).astype(np.float32)  # (texts, n-grams)

    labels = len(titles)
    titles_x, queries_x = features(titles), features(train_queries)
    clicked = np.asarray(task["clicks"], dtype=np.int64).reshape(-1, 2)  # (clicks, [query, product])
    ones = np.ones(len(clicked), dtype=np.float32)
    clicks = sp.csr_matrix((ones, (clicked[:, 0], clicked[:, 1])), shape=(len(train_queries), labels))
    x = sp.vstack([titles_x, queries_x]).tocsr().astype(np.float32)
    y = sp.vstack([sp.identity(labels, format="csr", dtype=np.float32), clicks]).tocsr()
    label_features = LabelEmbeddingFactory.create(y, x, method="pifa")
    chain = Indexer.gen(
        label_features,
        indexer_type="hierarchicalkmeans",
        nr_splits=settings["splits"],
        max_leaf_size=settings["leaf"],
        seed=settings["seed"],
        threads=settings["threads"],
    )
    model = XLinearModel.train(
        x,
        y,
        chain,
        negative_sampling_scheme="tfn+man" if settings["matcher_negatives"] else "tfn",
        Cp=settings["cost"],
        Cn=settings["cost"],
        threshold=settings["threshold"],
        threads=settings["threads"],
    )
    found = model.predict(
        features(task["queries"]),
        beam_size=settings["beam"],
        only_topk=task["depth"],
        post_processor=settings["post_processor"],
        threads=settings["threads"],
    )
    np.savez(folder / "scores.npz", indptr=found.indptr, indices=found.indices, data=found.data)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
