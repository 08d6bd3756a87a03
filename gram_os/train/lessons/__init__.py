"""What a generator is trained on: synthetic queries, clicks, and the target codes of texts. Trains nothing."""
