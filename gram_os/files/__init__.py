"""Files read as streams of rows: JSON lines, CSV, TSV, Parquet and product feeds in XML. One file a format.

Knows bytes, encodings, delimiters, quotes, and which values and names OpenSearch takes. Knows nothing of products or
queries. `gram_os.rows` chooses the reader of a file.
"""
