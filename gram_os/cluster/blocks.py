"""Blocks: why a cluster refuses to write or to read, and what lifts each block. Pure: texts in, an error out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from gram_os.errors import ClusterBusyError, ClusterError, IndexUnfitError

#: The cluster's error types for what a block refuses. The reason beside them names the blocks by number.
ERROR_TYPES: Final = ("cluster_block_exception", "index_create_block_exception")
#: The block of a closed index, which the cluster sometimes reports by an error type of its own.
CLOSED: Final = "[FORBIDDEN/4/index closed]"

# The numbers stand in the server's source (IndexMetadata, Metadata). INDEX stands for the name of the index.
_OF_AN_INDEX: Final[Mapping[str, str]] = {
    "4": "it is closed; open it with POST /INDEX/_open",
    "5": 'it is read-only; lift the block with PUT /INDEX/_settings {"index.blocks.read_only": null}',
    "7": 'reading is blocked; lift the block with PUT /INDEX/_settings {"index.blocks.read": null}',
    "8": 'writing is blocked; lift the block with PUT /INDEX/_settings {"index.blocks.write": null}',
    "9": 'its metadata is blocked; lift the block with PUT /INDEX/_settings {"index.blocks.metadata": null}',
    "12": "a disk of the cluster is nearly full (flood stage); free space or add a node, then lift the block with "
    'PUT /INDEX/_settings {"index.blocks.read_only_allow_delete": null}',
}
_OF_THE_CLUSTER: Final[Mapping[str, str]] = {
    "6": "the whole cluster is read-only; lift the block with "
    'PUT /_cluster/settings {"persistent": {"cluster.blocks.read_only": null}}',
    "10": "the cluster creates no index, because its disks are nearly full; free space or add a node, then lift the "
    'block with PUT /_cluster/settings {"persistent": {"cluster.blocks.create_index": null}}',
    "13": "the whole cluster is read-only; free space if a disk is full, then lift the block with "
    'PUT /_cluster/settings {"persistent": {"cluster.blocks.read_only_allow_delete": null}}',
}


# The settings that put these blocks on an index.
_SETTINGS: Final[Mapping[str, str]] = {
    "index.blocks.read_only": "5",
    "index.blocks.read": "7",
    "index.blocks.write": "8",
    "index.blocks.metadata": "9",
    "index.blocks.read_only_allow_delete": "12",
}


def explain_settings(settings: Mapping[str, object], index: str) -> tuple[str, str] | None:
    """Return what is blocked by the settings of an index (flat names), and the cure. None without a block.

    >>> explain_settings({"index.blocks.write": "true"}, "shop")
    ('writing is blocked', 'lift the block with PUT /shop/_settings {"index.blocks.write": null}')
    """
    for name, number in _SETTINGS.items():
        if str(settings.get(name, "false")).lower() == "true":
            found, _, cure = _OF_AN_INDEX[number].replace("INDEX", index).partition("; ")
            return found, cure
    return None


def explain_block(reason: str, index: str | None = None, *, progress: str | None = None) -> ClusterError:
    """Return the error for what a block refused, with the cure of that block.

    reason: the cluster's words. Without an `index`, its name is read from them. progress: how far a run of writes came
    before the block ended it, such as "3 products were written".

    A block of the index is an IndexUnfitError. Any other block is a ClusterBusyError, because it ends without the user:
    by itself, or because somebody lifts it for all.

    >>> print(explain_block("index [shop] blocked by: [FORBIDDEN/8/index write (api)];"))
    index 'shop': writing is blocked; lift the block with PUT /shop/_settings {"index.blocks.write": null}
    """
    index = index or next(iter(re.findall(r"index \[([^\]]+)\]", reason)), None)
    numbers = re.findall(r"\[[A-Z_]+/(\d+)/", reason)
    of_index = [_OF_AN_INDEX[number].replace("INDEX", index or "INDEX") for number in numbers if number in _OF_AN_INDEX]
    of_cluster = [_OF_THE_CLUSTER[number] for number in numbers if number in _OF_THE_CLUSTER]
    kind = IndexUnfitError if of_index else ClusterBusyError
    cures = ", and ".join(of_index or of_cluster)
    if progress is not None:
        cures = f"{cures or 'wait until it ends'}, and run the same command again"
        return kind(f"index '{index}' takes no writes ({reason}); {progress}; {cures}")
    return kind(f"index '{index}': {cures or reason}" if index else cures or reason)
