"""Query -> codes -> hits: rewriting, recall by code, pair scoring, fusion with BM25."""
