"""The local OpenSearch node: resolve its jars, find a Java, start, stop; and the choice of the cluster to talk to.

`resolve_cluster` needs no extra when a cluster is set; everything else needs `gram-os[embedded]` and is imported late.
"""

from gram_os.embedded.choice import node_folder, resolve_cluster

__all__ = ["node_folder", "resolve_cluster"]
