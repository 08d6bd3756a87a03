"""What a catalogue says by itself: attribute fields, words, values, combinations. Knows no clicks and no model."""
