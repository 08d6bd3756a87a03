"""The command line run in this process, with the effect of `gram-os ARGS`."""

from __future__ import annotations

import contextlib
import io
import json
import logging
from dataclasses import dataclass
from typing import Any

from gram_os.cli.main import main


@dataclass(frozen=True, slots=True)
class Done:
    """Exit code, standard output and standard error of a command."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """The JSON object that the verb printed; the verb must have succeeded, at least in part."""
        assert self.code in (0, 3), self.err
        return json.loads(self.out)


def run(*args: str) -> Done:
    """Run a verb. Logging is restored afterwards, because the verb sets it up for the streams of this run."""
    root = logging.getLogger()
    handlers, level, ours = root.handlers[:], root.level, logging.getLogger("gram_os").level
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(args)
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        logging.getLogger("gram_os").setLevel(ours)
    return Done(code, out.getvalue(), err.getvalue())
