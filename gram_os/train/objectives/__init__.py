"""The losses and their batches: SFT, matching and co-alignment, and what co-training adds. Knows no files."""
