"""Codes into documents: backfill, watch, the hook's queue, dead letters. Knows the generator by a Protocol."""
