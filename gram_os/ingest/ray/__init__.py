"""Offline coding of very large catalogues on Ray Data: Parquet in, coded Parquet out, and from there into an index.

Knows Ray, Parquet and the cluster. Knows the generator by the Protocol `ProductCoder`; workers open it themselves.
"""

from gram_os.ingest.ray.coding import CodeReport, code_parquet
from gram_os.ingest.ray.indexing import IndexReport, index_parquet
from gram_os.ingest.ray.workers import Workers

__all__ = ["CodeReport", "IndexReport", "Workers", "code_parquet", "index_parquet"]
