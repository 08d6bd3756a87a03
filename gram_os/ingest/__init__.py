"""Products into an index, codes into its documents, clicks out of a cluster. Knows the generator by a Protocol."""
