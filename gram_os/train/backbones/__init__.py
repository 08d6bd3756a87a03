"""The two models that a run can train, behind one Protocol: the compact one and a causal LM."""
