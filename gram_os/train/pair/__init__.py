"""The pair scorer: codes of a catalogue in memory, shortlists, the fit. Knows no network."""
