"""Text into typed, normalised values: attributes, codes, words. Runs no model and knows no cluster."""
