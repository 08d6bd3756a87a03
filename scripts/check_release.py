"""Check that the version is in the changelog, and that the wheel holds the package, its data and nothing else."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MAX_MEGABYTES = 45


def find_faults() -> list[str]:
    """Build the wheel in a temporary folder and return the faults, one sentence each."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    faults = check_version(version)
    with tempfile.TemporaryDirectory() as folder:
        command = ["uv", "build", "--quiet", "--wheel", "--out-dir", folder, str(ROOT)]
        subprocess.run(command, check=True)  # noqa: S603 (every word of the command is ours)
        (wheel,) = Path(folder).glob("*.whl")
        return faults + check_wheel(wheel, version)


def check_version(version: str) -> list[str]:
    """Return the faults of the version: pyproject.toml, the package and the changelog must agree."""
    faults = []
    if f'__version__ = "{version}"' not in (ROOT / "gram_os/__init__.py").read_text(encoding="utf-8"):
        faults.append(f"gram_os/__init__.py: __version__ is not {version}, the version of pyproject.toml")
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    if "## [Unreleased]" not in changelog:
        faults.append("CHANGELOG.md: there is no block [Unreleased]")
    if version not in changelog:
        faults.append(f"CHANGELOG.md: version {version} is not mentioned")
    return faults


def check_wheel(wheel: Path, version: str) -> list[str]:
    """Return the faults of the wheel. It holds every file of gram_os that git tracks, the licences and nothing else."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    info = f"gram_os-{version}.dist-info/"
    foreign = [name for name in sorted(names) if not name.startswith(("gram_os/", info))]
    faults = [f"wheel: {name} does not belong to gram_os" for name in foreign]
    wanted = _tracked_files() | {
        info + "licenses/LICENSE",
        info + "licenses/NOTICE",
        info + "entry_points.txt",
    }
    faults += [f"wheel: {name} is missing" for name in sorted(wanted - names)]
    megabytes = wheel.stat().st_size / 1e6
    if megabytes > MAX_MEGABYTES:
        faults.append(f"wheel: {megabytes:.1f} MB, more than {MAX_MEGABYTES}")
    return faults


def _tracked_files() -> set[str]:
    command = ["git", "ls-files", "gram_os"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)  # noqa: S603
    return {name for name in listed.stdout.splitlines() if (ROOT / name).is_file()}


if __name__ == "__main__":
    sys.exit("\n".join(find_faults()) or 0)
