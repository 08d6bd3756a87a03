"""What a text says: its product type, its typed attributes and its codes of several attributes.

Reads texts and probabilities. Runs no model and knows no cluster.
"""
