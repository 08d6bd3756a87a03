"""The processes of a training, and files that survive a kill of one of them."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from accelerate import PartialState

#: The folder in a stage's own one that outlives a kill. It is deleted when the stage is whole.
SCRATCH = "checkpoint"


def processes() -> PartialState:
    """The processes of this training: one without a launcher, on the CPU where there is no GPU."""
    return PartialState(cpu=not torch.cuda.is_available())


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that after a kill or a power cut it is there as a whole, or as it was before."""
    new = path.with_name(path.name + ".new")
    with new.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    new.replace(path)
