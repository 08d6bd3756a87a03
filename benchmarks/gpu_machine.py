"""What a figure was measured on: the GPU, the processor, the versions, and whether ONNX Runtime used the GPU."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("accelerate", "gram-os", "numpy", "onnx", "onnxruntime", "onnxruntime-gpu", "tokenizers", "torch",
            "transformers")  # fmt: skip


def describe_hardware() -> dict[str, Any]:
    """Return the names and sizes of GPU and processor. The GPU is None without one."""
    found: dict[str, Any] = {"cpu": _processor(), "cores": os.cpu_count(), "gpu": None}
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        found["gpu"] = properties.name
        found["gpu_memory_mb"] = round(properties.total_memory / 1e6)
        found["gpu_driver"] = _output("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
    return found


def describe_versions() -> dict[str, str | None]:
    """Return the versions of what takes part, None for what is not installed, and the commit of the checkout."""
    found: dict[str, str | None] = {"python": platform.python_version(), "cuda of torch": torch.version.cuda}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    found["commit"] = _output("git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD")
    return found


def describe_runtime(*, on_cuda: bool) -> dict[str, Any]:
    """Return what ONNX Runtime offers, and a sentence on the provider that the figures are of."""
    import onnxruntime

    offered = onnxruntime.get_available_providers()
    if on_cuda:
        provider = "ONNX Runtime runs on its CUDA provider, with IO binding"
    elif "CUDAExecutionProvider" in offered:
        provider = "onnxruntime-gpu is installed but could not start its CUDA provider: times are the CPU provider's"
    else:
        provider = "onnxruntime-gpu is not installed: times are the CPU provider's"
    return {"version": onnxruntime.__version__, "offered": offered, "provider": provider}


def load_cuda_libraries() -> None:
    """Load the CUDA libraries that pip installed, where onnxruntime-gpu would not find them by itself."""
    try:
        import onnxruntime
    except ImportError:
        return
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers() and hasattr(onnxruntime, "preload_dlls"):
        onnxruntime.preload_dlls()


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _output(*command: str) -> str | None:
    """Return what a program prints, None where it is not there or fails."""
    if shutil.which(command[0]) is None:
        return None
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None
