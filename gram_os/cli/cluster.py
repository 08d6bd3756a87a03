"""`gram-os cluster start / stop / status / reset`: the embedded OpenSearch node under manual control."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from gram_os.cli.output import JsonOption, print_json
from gram_os.errors import InputError

if TYPE_CHECKING:
    from gram_os.embedded.node import EmbeddedNode

app = typer.Typer(rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]})

_LOOK_EVERY_S = 0.5


@app.command(epilog="Example: gram-os cluster start --nodes 3")
def start(
    nodes: Annotated[
        int | None,
        typer.Option(help="Size of the cluster, in one process; default: its earlier size, or 1.", show_default=False),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=1024, max=65535, help="HTTP port; default: the first free one.", show_default=False),
    ] = None,
    foreground: Annotated[bool, typer.Option("--foreground", help="Stay, and stop the node on Ctrl-C.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Start the node, or print where it already runs. It runs until `cluster stop`, also after a log-out."""
    from gram_os.embedded import node_folder
    from gram_os.embedded.node import EmbeddedNode
    from gram_os.settings import load_settings

    settings = load_settings()
    node = EmbeddedNode.start(
        node_folder(settings),
        cache=settings.cache_dir,
        nodes=nodes,
        port=port,
        attached=foreground,
        heap=settings.node.heap,
        timeout_s=settings.node.start_timeout_s,
    )
    _report(node, as_json=as_json)
    if foreground:
        _stay(node)


@app.command(epilog="Example: gram-os cluster stop")
def stop(as_json: JsonOption = False) -> None:
    """Stop the node and keep its data."""
    node = _find()
    if node is not None:
        node.stop()
    if as_json:
        print_json({"stopped": node is not None})
    else:
        print("stopped" if node is not None else "no node was running")


@app.command(epilog="Example: gram-os cluster status --json")
def status(as_json: JsonOption = False) -> None:
    """Print whether the node runs, and where. The exit code is 1 when it does not run."""
    node = _find()
    _report(node, as_json=as_json)
    if node is None:
        raise typer.Exit(1)


@app.command(epilog="Example: gram-os cluster reset --yes")
def reset(yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False, as_json: JsonOption = False) -> None:
    """Stop the node and delete its data, every index included."""
    from gram_os.embedded import node_folder
    from gram_os.embedded.node import EmbeddedNode
    from gram_os.settings import load_settings

    folder = node_folder(load_settings())
    if not yes:
        if as_json:
            raise InputError("reset deletes every index of the embedded node; confirm it with --yes")
        typer.confirm(f"Delete every index of the embedded node in {folder}?", abort=True)
    EmbeddedNode.reset(folder)
    if as_json:
        print_json({"reset": True, "data": str(folder)})
    else:
        print(f"deleted the node's data in {folder}")


def _find() -> EmbeddedNode | None:
    from gram_os.embedded import node_folder
    from gram_os.embedded.node import EmbeddedNode
    from gram_os.settings import load_settings

    return EmbeddedNode.status(node_folder(load_settings()))


def _report(node: EmbeddedNode | None, *, as_json: bool) -> None:
    health = node.read_health() if node is not None else None
    if as_json:
        details = (
            {
                "url": node.url,
                "pid": node.pid,
                "version": node.version,
                "nodes": node.nodes,
                "data": node.data,
            }
            if node is not None
            else {}
        )
        print_json({"running": node is not None, "health": health, **details})
    elif node is None:
        print("no node is running; start one: gram-os cluster start")
    else:
        nodes = "1 node" if node.nodes == 1 else f"{node.nodes} nodes"
        print(f"OpenSearch {node.version} at {node.url} ({health or 'does not answer'}, {nodes}, process {node.pid})")
        print(f"data: {node.data}")


def _stay(node: EmbeddedNode) -> None:
    """Wait until the node ends or Ctrl-C is pressed. Then stop the node."""
    print("press Ctrl-C to stop", flush=True)
    try:
        while node.is_running():
            time.sleep(_LOOK_EVERY_S)
    except KeyboardInterrupt:
        pass
    finally:
        node.stop()
