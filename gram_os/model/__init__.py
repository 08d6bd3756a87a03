"""A bundle and what runs it: text into codes with probabilities and weights. Knows no cluster."""
