"""People's edits: what somebody corrects on products, and what becomes of a product's codes then.

Records on the cluster, and pure corrections of codes. Knows bundles and no model that runs.
"""
