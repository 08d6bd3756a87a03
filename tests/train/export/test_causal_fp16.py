"""A causal LM in fp16: what the graph holds, its codes beside torch's, and what is refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from tokenizers import Tokenizer

from gram_os.errors import FileFormatError, GramError, InputError
from gram_os.model.bundle import Bundle, Manifest
from gram_os.model.causal_lm import CausalLm
from gram_os.model.decode import beam_search, score_sequences
from gram_os.model.trie import CodeTrie
from gram_os.text.attribute import Side
from gram_os.text.dictionary import AttributeDictionary, Vocabulary
from gram_os.text.normalise import Normaliser
from gram_os.train.export.causal import export_causal
from gram_os.train.export.causal_fp16 import halve
from gram_os.train.export.causal_graph import tree_graph
from gram_os.train.export.causal_parity import compare_codes
from gram_os.train.export.compact import Precision
from gram_os.train.models.causal import CausalSource
from gram_os.train.recipe import read_recipe
from tests.train.tiny_lm import KINDS, make_source, make_tokenizer

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # the TorchScript exporter says that it is one
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
    pytest.mark.filterwarnings("ignore:Exporting aten.*index operator of advanced indexing:UserWarning"),
]

FP16 = 0.05  # what a log-probability of random weights, which are large, may be off by
TEXTS = [
    "toner", "xerox black toner cartridge for laser printers", "red", "a drum, by xerox", "black", "ink", "laser",
    "cartridge, black", "xerox", "toner cartridge", "printers",
]  # fmt: skip
CODES = ["black", "toner", "toner cartridge", "xerox", "red | toner", "black | xerox", "drum | xerox", "cartridge"]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return make_tokenizer([*TEXTS, *CODES, "query: x; codes: y"])


@pytest.fixture(scope="module")
def trie(tokenizer: Tokenizer) -> CodeTrie:
    return CodeTrie.build([tuple(tokenizer.encode(f" {code}").ids) for code in CODES])


def _export(source: CausalSource, trie: CodeTrie, out: Path, precision: Precision) -> Bundle:
    return export_causal(
        source, out, Manifest(label="tiny", backbone="causal-lm", precision=precision, attributes={}),
        dictionary=AttributeDictionary((), (), ()), vocabulary=Vocabulary({}), normaliser=Normaliser({}), trie=trie,
        sample={Side.QUERY: TEXTS, Side.TITLE: TEXTS}, precision=precision,
    )  # fmt: skip


@pytest.mark.parametrize("kind", list(KINDS))
def test_fp16_finds_torchs_codes_with_half_the_bytes(
    kind: str, tokenizer: Tokenizer, trie: CodeTrie, tmp_path: Path
) -> None:
    source = make_source(kind, tokenizer)
    before = {name: weight.clone() for name, weight in source.model.state_dict().items()}
    bundle, exact = (_export(source, trie, tmp_path / precision, precision) for precision in ("fp16", "fp32"))
    assert bundle.manifest.precision == "fp16"
    for name, weight in source.model.state_dict().items():
        assert torch.equal(weight, before[name])
    initializers = onnx.load(bundle.path / "model.onnx").graph.initializer
    types = Counter(item.data_type for item in initializers if len(item.dims) > 1 and min(item.dims) > 1)
    assert set(types) == {onnx.TensorProto.FLOAT16}
    served = CausalLm(bundle, device="cpu", threads=1)
    for side in Side:
        parity = compare_codes(source, served, trie, TEXTS, side, width=4)
        assert parity.texts == len(TEXTS)
        assert parity.same_likeliest == 1 or parity.largest_swap < FP16
        assert parity.overlap > 0.9
        assert 0 < parity.largest_gap < FP16
        none = compare_codes(source, CausalLm(exact, device="cpu", threads=1), trie, TEXTS, side, width=4)
        assert (none.same_likeliest, none.overlap, none.largest_swap) == (1, 1, 0)
        assert none.largest_gap < parity.largest_gap / 10


def test_parity_sees_another_models_codes(tokenizer: Tokenizer, trie: CodeTrie, tmp_path: Path) -> None:
    source, other = make_source("llama", tokenizer), make_source("qwen2", tokenizer)
    served = CausalLm(_export(other, trie, tmp_path, "fp32"), device="cpu", threads=1)
    parity = compare_codes(source, served, trie, TEXTS, Side.QUERY, width=4)
    assert parity.same_likeliest < 1
    assert parity.largest_gap > 1
    assert parity.largest_swap > FP16


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_bound_keys_and_values_change_no_bit(
    precision: Precision, tokenizer: Tokenizer, trie: CodeTrie, tmp_path: Path
) -> None:
    bundle = _export(make_source("llama", tokenizer), trie, tmp_path, precision)
    plain, bound = (CausalLm(bundle, device="cpu", threads=1, bound=kept) for kept in (None, True))
    assert (plain.bound, bound.bound) == (False, True)  # on the CPU keys and values are arrays
    sequences = [[(5, 6, 7), (5, 8)]] * len(TEXTS)
    answers = []
    for model in (plain, bound):
        first = model.start(TEXTS, Side.TITLE)  # more texts than one run reads
        steps = [first, model.advance(first.state, np.zeros((len(TEXTS), 2), np.int64), np.tile([40, 41], (11, 1)))]
        again = model.advance(first.state, np.zeros((len(TEXTS), 2), np.int64), np.tile([40, 41], (11, 1)))
        np.testing.assert_array_equal(again.log_probs, steps[1].log_probs)  # a state can be continued twice
        found = beam_search(model, trie, first, width=4)
        answers.append(([step.log_probs for step in steps], found, score_sequences(model, first, sequences)))
    for left, right in zip(answers[0][0], answers[1][0], strict=True):
        assert left.dtype == np.float32
        np.testing.assert_array_equal(left, right)
    assert answers[0][1:] == answers[1][1:]


def test_numbers_that_fp16_cannot_hold_are_refused(tokenizer: Tokenizer, trie: CodeTrie, tmp_path: Path) -> None:
    source = make_source("llama", tokenizer)
    with torch.no_grad():
        source.model.model.layers[0].mlp.down_proj.weight.mul_(1e6)
    tree_graph(source.model)  # float32 holds them
    with pytest.raises(InputError, match=r'too large for fp16 .*precision = "int8"'):
        _export(source, trie, tmp_path, "fp16")
    assert not (tmp_path / "manifest.json").exists()


def test_the_angles_of_positions_stay_exact(tokenizer: Tokenizer) -> None:
    source = make_source("llama", tokenizer)
    graph = tree_graph(source.model)
    exact = graph.module.get_submodule("rotary").get_buffer("inv_freq").clone()
    rotary = halve(graph, []).module.get_submodule("rotary")
    assert rotary.get_buffer("inv_freq").dtype == torch.float32
    assert torch.equal(rotary.get_buffer("inv_freq"), exact)


def test_a_recipe_has_fp16_for_a_causal_lm_alone(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text('precision = "fp16"\n[causal]\nmodel = "x"\n', encoding="utf-8")
    assert read_recipe(path).precision == "fp16"
    path.write_text('precision = "fp16"\n', encoding="utf-8")
    with pytest.raises(FileFormatError, match=r"fp16.*is for a causal LM"):
        read_recipe(path)


def test_cuda_is_refused_where_it_is_not(tokenizer: Tokenizer, trie: CodeTrie, tmp_path: Path) -> None:
    bundle = _export(make_source("llama", tokenizer), trie, tmp_path, "fp16")
    if "CUDAExecutionProvider" in pytest.importorskip("onnxruntime").get_available_providers():
        pytest.skip("this machine has CUDA")
    with pytest.raises(GramError, match="device 'cuda' was asked for"):
        CausalLm(bundle, device="cuda")
