"""Documents in an index: load a catalogue, add code fields, write codes. Sees generators and scorers as Protocols only."""
