"""A query against an index: codes, weights, the request, the hits. Knows the generator by a Protocol."""
