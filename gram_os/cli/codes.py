"""`gram-os codes`: the codes of a query or a title. It needs no cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gram_os.cli import output
from gram_os.errors import InputError

if TYPE_CHECKING:
    from gram_os.model.generator import Generator, ScoredCode

EXAMPLE = """Example:

\b
  gram-os codes --query "black toner for xerox"
  gram-os codes --title "Xerox 006R90321 toner cartridge Original Black 6 pc(s)"
"""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("codes", help=run.__doc__, epilog=EXAMPLE)(run)


def run(
    query: Annotated[str | None, typer.Option("--query", help="A shopper's query.", show_default=False)] = None,
    title: Annotated[str | None, typer.Option("--title", help="A product's title.", show_default=False)] = None,
    bundle: output.BundleOption = None,
    as_json: output.JsonOption = False,
) -> None:
    """Show the codes of a query or a title with their probabilities and the types of their values."""
    from gram_os.catalogue import Product
    from gram_os.model.backbone import load_generator
    from gram_os.settings import load_settings
    from gram_os.text.attribute import Side

    text = query if query is not None else title
    if text is None or (query is not None and title is not None):
        raise InputError("give either --query or --title")
    if not text.strip():
        raise InputError("the text is empty; give a few words")
    settings = load_settings().model
    generator = load_generator(bundle, settings.device, settings.threads)
    side = Side.QUERY if query is not None else Side.TITLE
    codes = (
        generator.code_queries([text])[0] if side is Side.QUERY else generator.code_batch([Product("", text, {})])[0]
    )
    rows = [_describe_code(generator, scored) for scored in codes]
    if as_json:
        output.print_json({"text": text, "side": side.value, "bundle": generator.bundle.id, "codes": rows})
    else:
        _print_codes(f"{side.value}: {text}", rows)


def _describe_code(generator: Generator, scored: ScoredCode) -> dict[str, object]:
    """Return a code as JSON: text, granularity, types of its values, probability, origin, weight on its side."""
    kinds = [generator.type_of(value) for value in scored.code.values]
    return {
        "code": str(scored.code),
        "granularity": scored.code.granularity.value,
        "types": [kind.value if kind else None for kind in kinds],
        "probability": None if scored.probability is None else round(scored.probability, 6),
        "from": "text" if scored.own else "model",
        "weight": round(scored.weight, 4),
    }


def _print_codes(title: str, rows: list[dict[str, object]]) -> None:
    """Print codes as a table."""
    cells = [
        [
            str(row["code"]),
            ", ".join(str(kind or "-") for kind in row["types"]),  # type: ignore[attr-defined]
            str(row["from"]),
            "" if row["probability"] is None else f"{row['probability']:.4f}",
            f"{row['weight']:.2f}",
        ]
        for row in rows
    ]
    caption = "" if cells else "no codes: the text holds no word and no number that could be a value"
    output.print_table(title, ["code", "attributes", "from", "P", "weight"], cells, caption=caption)
