"""One reader per connection."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rapport.ingest_lock import only_reader
from rapport.local import ready
from rapport.settings import Settings
from rapport_core.errors import ConfigError

HOLD = """
import sys, time
from pathlib import Path
from rapport.ingest_lock import only_reader
with only_reader(Path(sys.argv[1]), "acme", "box"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_reader_of_a_connection_is_told_to_wait(tmp_path: Path) -> None:
    """One sentence, exit 2; another connection or tenant is free, and so is this one afterwards."""
    home = tmp_path / "home"
    with only_reader(home, "acme", "box"):
        with pytest.raises(ConfigError, match="the connection box now: wait until") as caught:
            only_reader(home, "acme", "box").__enter__()
        assert caught.value.exit_code == 2
        assert "\n" not in str(caught.value)
        for tenant, connection in (("acme", "bo"), ("acm", "ebox"), ("acme", "../../box")):
            with only_reader(home, tenant, connection):
                pass
    with only_reader(home, "acme", "box"):
        pass
    assert {path.suffix for path in (home / "run").iterdir()} == {".lock"}
    assert home.stat().st_mode & 0o777 == 0o700


def test_a_killed_reader_holds_nothing(tmp_path: Path) -> None:
    """The lock is the kernel's, not the file's."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(ConfigError), only_reader(tmp_path, "acme", "box"):
            pass
    finally:
        process.kill()
        process.communicate()
    with only_reader(tmp_path, "acme", "box"):
        pass


def test_a_start_of_the_services_leaves_locks_alone(tmp_path: Path) -> None:
    """An ingest may outlive them; what they left themselves goes."""
    settings = Settings(home=tmp_path)
    ready.announce(settings, "sink")
    (tmp_path / "run" / "worker-0.123").write_text("half written")
    with only_reader(tmp_path, "acme", "box"):
        ready.forget_all(settings)
        assert ready.ready_pid(settings, "sink") is None
        assert [path.suffix for path in (tmp_path / "run").iterdir()] == [".lock"]
        with pytest.raises(ConfigError), only_reader(tmp_path, "acme", "box"):
            pass
    ready.forget_all(Settings(home=tmp_path / "nothing"))


def test_a_home_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    with pytest.raises(ConfigError, match="RAPPORT_HOME"), only_reader(tmp_path / "home", "acme", "box"):
        pass
