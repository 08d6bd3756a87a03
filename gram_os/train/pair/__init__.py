"""The pair scorer in training: codes of a catalogue in memory, shortlists, the fit. Knows no network."""
