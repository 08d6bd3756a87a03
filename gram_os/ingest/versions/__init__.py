"""The labels of an index as versions of its codes: what each covers, which one is active, and how one ends.

Knows neither a bundle nor how a document is coded.
"""
