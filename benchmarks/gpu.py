"""A causal LM on a GPU, in at most ten minutes: training through every stage, fp16 export, codes beside torch's, times.

    uv sync --no-default-groups --extra gpu --extra train && .venv/bin/python -m benchmarks.gpu --out gpu.json

or `pip install '.[gpu,train]' && python -m benchmarks.gpu --out gpu.json`, in a checkout, with a driver for the CUDA
that torch and onnxruntime-gpu bring. Nothing is downloaded while it runs.

python -m benchmarks.gpu [--model FOLDER [--gguf-file NAME]] [--steps 200] [--minutes 9] [--out FILE] [--json] [--tiny]

The catalogue is a part of the sample, the clicks are made of its titles. Without `--model` the LM has random weights of
SmolLM2-135M's shape, so times are right and codes are not. Training may take the first 55 % of the minutes, and the
export runs up to 75 %. What is not done by then is left out, and FILE says what was stopped. Where a part fails, FILE
has its traceback, and what does not need that part goes on. In both cases the exit code is 1. FILE is written anew
after each part, so a killed run leaves what it had. Without a GPU, or without onnxruntime-gpu, the same parts run on
the CPU, and FILE says so. `--tiny` is a test of all this in a minute on a CPU.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from transformers.utils import logging

from benchmarks.gpu_encoder import stand_in_for_encoder
from benchmarks.measures import print_measures


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print. Returns the exit code, which is 1 when a goal is missed or a part did not run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a causal LM's folder; by default random weights of SmolLM2-135M's shape")
    parser.add_argument("--gguf-file", help="the GGUF file in that folder (needs the package gguf)")
    parser.add_argument("--steps", type=int, help="of SFT; co-training has half of them, alignment a quarter")
    parser.add_argument("--minutes", type=float, default=9)
    parser.add_argument("--out", type=Path, help="the JSON file with everything")
    parser.add_argument("--json", action="store_true", help="print the measures as JSON")
    parser.add_argument("--tiny", action="store_true", help="a tiny model and few texts, for a CPU")
    options = parser.parse_args(arguments)
    logging.set_verbosity_error()  # transformers' remarks on weights, and its progress bars
    logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as name:
        stand_in = stand_in_for_encoder(Path(name) / "packages", tiny=options.tiny)
        from benchmarks.gpu_parts import run  # gram_os.train looks for the encoder's package when it is imported

        report = run(options, Path(name), stand_in=stand_in)
    print_measures("A causal LM on a GPU", report.measures, as_json=options.json)
    complete = any(measure.name.endswith(".titles") for measure in report.measures)
    return int(report.failed or not complete or any(measure.holds is False for measure in report.measures))


if __name__ == "__main__":
    sys.exit(main())
