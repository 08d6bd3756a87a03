"""Fp16 for a causal LM: weights, matrix products, and the keys and values that serving keeps have sixteen bits.

Attention, the norms' means and the log-probabilities are computed in float32, and so are the angles of rotary
positions: sixteen bits have too few digits for them. Keys and values take half of float32's memory. It is the form for
a GPU. ONNX Runtime's CPU provider widens the weights, and gains nothing.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from gram_os.errors import InputError
from gram_os.train.export.causal_graph import read_text
from gram_os.train.export.graphs import Graph


def halve(graph: Graph, texts: Sequence[Sequence[int]]) -> Graph:
    """Return the graph in fp16; its module is changed.

    texts: token ids, which are read as a check. Raises InputError when numbers of the model are too large for fp16
    (65,504), as those of some models are that were trained in bfloat16.
    """
    module = graph.module
    rotary = copy.deepcopy(module.get_submodule("rotary"))
    module.half()
    module.rotary = rotary
    halved = dataclasses.replace(graph, module=module, traced=_halve_floats(graph.traced or ()))
    with torch.inference_mode():
        for ids in texts:
            log_probs = module(*_halve_floats(read_text(module, ids)))[0]
            if not log_probs.isfinite().all():
                raise InputError(
                    "numbers of this causal LM are too large for fp16 (65,504), so it would generate nothing; export "
                    'it with precision = "int8" or "fp32"'
                )
    return halved


def _halve_floats(inputs: Sequence[Tensor]) -> tuple[Tensor, ...]:
    return tuple(part.half() if part.is_floating_point() else part for part in inputs)
