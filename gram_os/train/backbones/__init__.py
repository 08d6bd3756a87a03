"""The two models that can be trained, the compact one and a causal LM, behind one Protocol."""
