"""The losses and their batches: SFT, matching, co-training, co-alignment. Knows no files."""
