"""The command line: one file a verb, and the only place of the package that prints."""
