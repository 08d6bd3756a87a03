"""Catalogues and clicks: files into an index, products that keep their codes, UBI out of a cluster. Knows no models."""
