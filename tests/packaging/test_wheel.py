"""The wheel holds six packages and everything they read at run time, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "rapport",
    "rapport_core",
    "rapport_processors",
    "rapport_producers",
    "rapport_schemas",
    "rapport_sinks",
}
DATA = ("*.avsc", "*.sql", "*.html", "*.css", "*.js", "kafka-pom.xml", "public_providers.txt", "py.typed")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as a release would build it."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(folder), str(ROOT)]  # fmt: skip
    subprocess.run(command, check=True, cwd=folder)
    return next(folder.glob("rapport-*.whl"))


def test_only_our_six_packages_are_in_the_wheel(wheel: Path) -> None:
    """No tests, no benchmarks, no generic names in anybody's site-packages."""
    with zipfile.ZipFile(wheel) as archive:
        top = {name.split("/")[0] for name in archive.namelist()}
    assert {name for name in top if not name.endswith(".dist-info")} == PACKAGES


@pytest.mark.parametrize("pattern", DATA)
def test_data_files_are_in_the_wheel(wheel: Path, pattern: str) -> None:
    """As many data files of each kind as stand beside the code."""
    sources = [ROOT / room for room in ("src", "producers", "processors", "sinks", "schemas")]
    expected = {path.name for source in sources for path in source.rglob(pattern)} or {pattern}
    with zipfile.ZipFile(wheel) as archive:
        found = {Path(name).name for name in archive.namelist() if Path(name).match(pattern)}
    assert found == expected


def test_the_command_runs_from_the_wheel_in_another_folder(wheel: Path, tmp_path: Path) -> None:
    """Nothing is read from the checkout."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    code = f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r}); sys.argv = ['rapport', '--version']; import rapport; assert rapport.__file__.startswith({str(tmp_path)!r}), rapport.__file__; from rapport.cli.root import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "0.1.0"), done.stderr
