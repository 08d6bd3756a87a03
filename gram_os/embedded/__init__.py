"""The local OpenSearch node, and the choice of the cluster that a command talks to.

Knows how to fetch the node's jars, find a Java, start and stop a node. Knows nothing of indices or codes.
`resolve_cluster` needs no extra when a cluster is set. Everything else needs `gram-os[embedded]` and is imported when
it is used.
"""

from gram_os.embedded.choice import node_folder, resolve_cluster

__all__ = ["node_folder", "resolve_cluster"]
