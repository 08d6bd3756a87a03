"""The processes of a training, and how one of them writes files that survive a kill."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from accelerate import PartialState

#: Name of the subfolder of a stage that outlives a kill. It is deleted when the stage is complete.
SCRATCH = "checkpoint"


def processes() -> PartialState:
    """Return the processes of this training: one process without a launcher; on the CPU where there is no GPU."""
    return PartialState(cpu=not torch.cuda.is_available())


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that a kill or a power cut leaves either the whole new file or the old one."""
    new = path.with_name(path.name + ".new")
    with new.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    new.replace(path)
