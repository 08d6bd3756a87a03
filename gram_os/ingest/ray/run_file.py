"""`run.json` in the folder of coded Parquet: what was coded, with which bundle, and how the catalogue was cut.

A second run goes on where the first one stopped only if both would write the same. Knows no products.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from gram_os.errors import InputError
from gram_os.ingest.ray.parquet import InputFile, read_text, write_text

NAME: Final = "run.json"


@dataclass(frozen=True, slots=True)
class Run:
    """A run of coding.

    bundle: its id. coded_fields: the fields that codes are made from beside the title. columns: all columns of the
    catalogue. batch: rows of a part. files: path -> size in bytes, time of the last change in ns.
    """

    bundle: str
    label: str
    coded_fields: tuple[str, ...]
    id_field: str
    title_field: str
    columns: tuple[str, ...]
    batch: int
    files: Mapping[str, tuple[int, int]] = field(default_factory=dict)


def begin_run(target: str, run: Run, files: Sequence[InputFile]) -> None:
    """Note a run in its target folder. New files may join the catalogue of an earlier run.

    Raises InputError when the folder holds the output of another run: other codes, or a catalogue that has changed.
    """
    run = replace(run, files={file.path: (file.size, file.changed_ns) for file in files})
    before = _read(target)
    if before is not None:
        for name in ("bundle", "label", "coded_fields", "id_field", "title_field", "columns", "batch"):
            if getattr(before, name) != getattr(run, name):
                was, now = str(getattr(before, name))[:80], str(getattr(run, name))[:80]
                raise InputError(f"{target} holds codes of another run ({name} was {was}, now {now}); {_CURE}")
        for path, state in run.files.items():
            if before.files.get(path, state) != state:
                raise InputError(f"{target} holds codes of {path} as it was before it changed; {_CURE}")
        run = replace(run, files={**before.files, **run.files})
    write_text(target, NAME, json.dumps(asdict(run), indent=1))


_CURE: Final = "give another --out, or delete that folder to code everything again"


def read_run(target: str) -> Run:
    """Return the run that wrote a folder. Raises InputError when there is none."""
    run = _read(target)
    if run is None:
        raise InputError(f"{target} holds no coded catalogue ({NAME} is missing); name the folder of --out")
    return run


def _read(target: str) -> Run | None:
    text = read_text(target, NAME)
    if text is None:
        return None
    try:
        found: dict[str, Any] = json.loads(text)
        files = {path: (int(size), int(changed)) for path, (size, changed) in found.pop("files").items()}
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in found.items()
        }
        return Run(**values, files=files)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{target}: {NAME} is damaged ({error}); {_CURE}") from error
