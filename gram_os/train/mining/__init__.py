"""What a catalogue alone says: attribute fields, words, values and combinations. Knows no clicks and no model."""
