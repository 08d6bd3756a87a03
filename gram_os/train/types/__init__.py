"""What kinds of things there are: readers of open taxonomies and of a thesaurus, and the names that people use.

Knows files and words. Knows no catalogue, no product and no model.
"""
