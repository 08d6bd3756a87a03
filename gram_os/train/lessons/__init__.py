"""What a generator is taught at first: synthetic queries, clicks, target codes of texts. Trains nothing."""
