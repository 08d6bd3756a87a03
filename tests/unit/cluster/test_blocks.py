"""Each block has its cure, in the words that a user reads."""

from __future__ import annotations

import pytest

from gram_os.cluster.blocks import CLOSED, explain_block
from gram_os.cluster.bulk import BulkItem
from gram_os.errors import ClusterBusyError, IndexUnfitError

FULL = "[TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, index has read-only-allow-delete block]"
WRITE = "[FORBIDDEN/8/index write (api)]"


@pytest.mark.parametrize(
    ("block", "cure"),
    [
        (CLOSED, "it is closed; open it with POST /shop/_open"),
        ("[FORBIDDEN/5/index read-only (api)]", 'PUT /shop/_settings {"index.blocks.read_only": null}'),
        ("[FORBIDDEN/7/index read (api)]", 'PUT /shop/_settings {"index.blocks.read": null}'),
        (WRITE, 'PUT /shop/_settings {"index.blocks.write": null}'),
        ("[FORBIDDEN/9/index metadata (api)]", 'PUT /shop/_settings {"index.blocks.metadata": null}'),
        (FULL, 'free space or add a node, then lift the block with PUT /shop/_settings {"index.blocks.read_only_allow'),
    ],
)
def test_each_block_of_an_index_has_its_cure(block: str, cure: str) -> None:
    error = explain_block(f"index [shop] blocked by: {block};")
    assert isinstance(error, IndexUnfitError)
    assert str(error).startswith("index 'shop': ") and cure in str(error)


def test_two_blocks_have_two_cures() -> None:
    text = str(explain_block(f"index [shop] blocked by: {WRITE};{FULL};"))
    assert "index.blocks.write" in text and "index.blocks.read_only_allow_delete" in text


def test_the_callers_name_of_the_index_comes_first() -> None:
    assert "PUT /alias/_settings" in str(explain_block(f"index [shop] blocked by: {WRITE};", "alias"))
    assert str(explain_block(f"blocked by: {WRITE};")).startswith("writing is blocked; lift the block with PUT /INDEX/")


@pytest.mark.parametrize(
    ("block", "cure"),
    [
        ("[FORBIDDEN/6/cluster read-only (api)]", '{"persistent": {"cluster.blocks.read_only": null}}'),
        ("[FORBIDDEN/10/cluster create-index blocked (api)]", '{"persistent": {"cluster.blocks.create_index": null}}'),
        ("[FORBIDDEN/13/cluster read-only / allow delete (api)]", '"cluster.blocks.read_only_allow_delete": null}}'),
        ("[SERVICE_UNAVAILABLE/2/no cluster-manager]", "no cluster-manager"),
    ],
)
def test_blocks_of_the_whole_cluster_may_pass(block: str, cure: str) -> None:
    error = explain_block(f"blocked by: {block};", "shop")
    assert isinstance(error, ClusterBusyError)
    assert cure in str(error)


def test_a_run_of_writes_says_how_far_it_came() -> None:
    error = explain_block(f"cluster_block_exception: {WRITE};", "shop", progress="7 products were written")
    assert isinstance(error, IndexUnfitError)
    assert str(error) == (
        f"index 'shop' takes no writes (cluster_block_exception: {WRITE};); 7 products were written; "
        'writing is blocked; lift the block with PUT /shop/_settings {"index.blocks.write": null}, '
        "and run the same command again"
    )
    waiting = explain_block("x: [SERVICE_UNAVAILABLE/1/state not recovered]", "shop", progress="7 were written")
    assert isinstance(waiting, ClusterBusyError)
    assert "7 were written; wait until it ends, and run the same command again" in str(waiting)


def test_a_bulk_item_knows_that_a_block_refused_it() -> None:
    assert BulkItem("1", "index", 429, f"cluster_block_exception: index [shop] blocked by: {FULL};").blocked
    assert not BulkItem("1", "index", 429, "rejected_execution_exception: full").blocked
    assert not BulkItem("1", "index", 201).blocked
