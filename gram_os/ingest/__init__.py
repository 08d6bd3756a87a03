"""Products into an index and codes into its documents. Knows the generator by a Protocol."""
