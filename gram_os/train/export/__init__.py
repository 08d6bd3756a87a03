"""Writes a trained model as a bundle: graphs, int8, tables, and the check against torch."""
