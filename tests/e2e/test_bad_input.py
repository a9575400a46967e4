"""Bad input and broken surroundings, without anything running: one sentence that says what to do, and its exit code."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from letters import DIRECTORY, TENANT, mbox
from local_stack import RAPPORT, bare_environment
from spoken import Said, Spoken

pytestmark = pytest.mark.timeout(120)
OWNER = ("--tenant", TENANT, "--member", "m1")


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Spoken:
    """Commands under a home where nothing runs."""
    for name in [name for name in os.environ if name.startswith("RAPPORT_")]:
        monkeypatch.delenv(name)
    return Spoken(monkeypatch, capsys, {"RAPPORT_HOME": str(tmp_path / "home")})


def written(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    "command",
    [
        ("counts", "--by", "member"),
        ("items",),
        ("threads", "--json"),
        ("explain", "x@kund.se"),
        ("status",),
        ("directory", "show"),
        ("dlq", "list"),
    ],
    ids=" ".join,
)
def test_nothing_running_is_said_by_every_command(say: Spoken, command: tuple[str, ...]) -> None:
    said = say(*command, "--tenant", TENANT)
    said.is_refusal(
        69, "nothing runs under", str(say.environment["RAPPORT_HOME"]), "start it with rapport up"
    )


def test_nothing_running_is_said_by_commands_that_write(say: Spoken, tmp_path: Path) -> None:
    """What is read first is sound, so it is the services that are named."""
    box = written(tmp_path / "box.mbox", mbox(1))
    mail = written(tmp_path / "one.eml", "Subject: x\n\ny\n")
    (tmp_path / "dir" / "cur").mkdir(parents=True)
    directory = written(tmp_path / "directory.json", json.dumps(DIRECTORY))
    for command in (
        ("ingest", "mbox", box, *OWNER),
        ("ingest", "maildir", tmp_path / "dir", *OWNER),
        ("ingest", "eml", mail, *OWNER),
        ("directory", "load", directory, "--tenant", TENANT),
        ("dlq", "show", "nothing"),
    ):
        say(*command).is_refusal(69, "start it with rapport up")


def test_doctor_says_it_without_an_error(say: Spoken) -> None:
    """Its findings are its answer."""
    said = say("doctor")
    assert (said.code, said.error) == (69, "")
    assert "start it with rapport up" in " ".join(said.out.split())


@pytest.mark.parametrize(
    ("command", "named"),
    [
        (("counts", "--by", "member"), "--tenant"),
        (("counts", "--tenant", TENANT, "--by", "moon"), "moon"),
        (("counts", "--tenant", TENANT, "--by", "member", "--days", "many"), "--days"),
        (("items", "--tenant", TENANT, "--until", "2026-02-31"), "2026-02-31"),
        (("items", "--tenant", TENANT, "--kind", "parcel"), "parcel"),
        (("ingest", "mbox"), "PATH"),
        (("frobnicate",), "frobnicate"),
        (("doctor", "--wait", "-1"), "--wait"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else value,
)
def test_wrong_use_names_what_is_wrong(say: Spoken, command: tuple[str, ...], named: str) -> None:
    said = say(*command)
    assert said.code == 2
    assert named in said.error
    assert "Traceback" not in said.error


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("ingest", "mbox", "nowhere.mbox", *OWNER), ("nothing at nowhere.mbox", "check the path")),
        (("ingest", "maildir", "nowhere", *OWNER), ("nothing at nowhere", "check the path")),
        (("ingest", "eml", "nowhere.eml", *OWNER), ("nothing at nowhere.eml", "check the path")),
        (("ingest", "mbox", ".", *OWNER), ("is not a file", "rapport ingest maildir")),
        (("ingest", "maildir", "box.mbox", *OWNER), ("is not a folder", "rapport ingest mbox")),
        (("ingest", "maildir", ".", *OWNER), ("is not a Maildir", "rapport ingest eml")),
        (("ingest", "eml", "empty", *OWNER), ("no .eml file", "name another folder")),
        (("ingest", "mbox", "box.mbox", *OWNER, "--folder", "junk"), ("never collected",)),
        (("ingest", "mbox", "box.mbox", *OWNER, "--folder", "kitchen"), ("kitchen", "say one of")),
        (("user", "add", "a@acme.com", "--tenant", TENANT, "--role", "king"), ("admin, manager",)),
        (("user", "add", "a@acme.com", "--tenant", TENANT, "--role", "member"), ("--member",)),
        (("user", "remove", "a@acme.com", "--tenant", TENANT), ("a@acme.com",)),
    ],
    ids=lambda value: " ".join(value[:3]) if isinstance(value, tuple) else value,
)
def test_wrong_arguments_are_one_sentence(
    say: Spoken,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    words: tuple[str, ...],
) -> None:
    written(tmp_path / "box.mbox", mbox(1))
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    say(*command).is_refusal(2, *words)


def _changed(change: Callable[[dict[str, Any]], object]) -> str:
    document: dict[str, Any] = json.loads(json.dumps(DIRECTORY))
    change(document)
    return json.dumps(document)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            _changed(lambda d: d["members"][0].update(adresses=[])),
            ("member m1", "adresses", "did you mean addresses"),
        ),
        (_changed(lambda d: d.update(clients=[])), ("clients",)),
        (_changed(lambda d: d["tenant"]["settings"].update(match_buy="domain")), ("match_buy", "match_by")),
        (_changed(lambda d: d["tenant"]["settings"].update(match_by="colour")), ("match_by", "domain")),
        (_changed(lambda d: d["tenant"].update(timezone="Mars/Base")), ("Mars/Base",)),
        (
            _changed(lambda d: d["members"][0]["addresses"].append("A@ACME.com")),
            ("a@acme.com twice", "remove one"),
        ),
        (_changed(lambda d: d["members"].append(dict(d["members"][0]))), ("two members have the id m1",)),
        (
            _changed(lambda d: d["contacts"][0]["addresses"].append("no address")),
            ("contact p1", "no address"),
        ),
        (_changed(lambda d: d.pop("tenant")), ("no tenant",)),
        (_changed(lambda d: d["tenant"].update(id="other")), ("directory of other", "--tenant other")),
        ('{"tenant": {"id": "acme"},', ("line 1, column", "no JSON")),
        ("", ("no JSON",)),
        ("[]", ("the directory",)),
        ("[" * 100_000, ("nested too deeply",)),
        (b"\xff\xfe\x00", ("not UTF-8", "save it as UTF-8")),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_wrong_directory_file_is_one_sentence(
    say: Spoken, tmp_path: Path, content: bytes | str, words: tuple[str, ...]
) -> None:
    """Before any service is asked, so nothing of it is loaded."""
    file = written(tmp_path / "directory.json", content)
    said = say("directory", "load", file, "--tenant", TENANT)
    said.is_refusal(2, str(file), *words)


def test_a_directory_file_that_is_missing_or_a_folder_is_one_sentence(say: Spoken, tmp_path: Path) -> None:
    for file in (tmp_path / "missing.json", tmp_path):
        said = say("directory", "load", file, "--tenant", TENANT)
        said.is_refusal(2, str(file), "cannot be read", "check the path")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("RAPPORT_WORKERS", "none", ("RAPPORT_WORKERS is wrong",)),
        ("RAPPORT_KAFKA", "localhost", ("RAPPORT_KAFKA is wrong", "host:port")),
        ("RAPPORT_CLICKHOUSE", "localhost:8123", ("RAPPORT_CLICKHOUSE is wrong", "http://")),
        ("RAPPORT_CLICKHOUS", "http://x", ("did you mean RAPPORT_CLICKHOUSE",)),
        ("RAPPORT_KAFKA_PORT", "70000", ("RAPPORT_KAFKA_PORT is wrong",)),
    ],
)
def test_a_wrong_setting_is_named(say: Spoken, name: str, value: str, words: tuple[str, ...]) -> None:
    say.environment[name] = value
    say("status").is_refusal(2, *words)


def up(home: Path, **environment: str) -> Said:
    """`rapport up` as a process, which must refuse to start."""
    variables = bare_environment() | {"RAPPORT_HOME": str(home)} | environment
    done = subprocess.run(
        [*RAPPORT, "up"], env=variables, capture_output=True, text=True, timeout=60, check=False
    )
    return Said(done.returncode, done.stdout, done.stderr)


def test_up_says_which_port_is_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for setting in ("RAPPORT_KAFKA_PORT", "RAPPORT_DASHBOARD_PORT"):
            said = up(tmp_path / "home", **{setting: port})
            said.is_refusal(2, f"port {port} is in use", f"set {setting} to another port")


def test_up_says_which_java_it_needs(tmp_path: Path) -> None:
    """None on the PATH, one that is too old, one that does not start."""
    up(tmp_path / "home", PATH=str(tmp_path), JAVA_HOME="").is_refusal(2, "no Java", "install Java 17")
    java = written(tmp_path / "java", "#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n")
    java.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    up(tmp_path / "home", PATH=path, JAVA_HOME="").is_refusal(2, "version 11", "install Java 17")
    written(java, "#!/bin/sh\nexit 1\n")
    up(tmp_path / "home", PATH=path, JAVA_HOME="").is_refusal(2, "does not start", "install Java 17")


def test_up_says_that_its_home_cannot_be_written(tmp_path: Path) -> None:
    """Root may write into every folder, so a file is in the way, and a file system that nobody may write to."""
    written(tmp_path / "file", "")
    for home in (tmp_path / "file", tmp_path / "file" / "home", Path("/proc/rapport")):
        up(home).is_refusal(2, str(home), "cannot be written", "RAPPORT_HOME")


def test_a_home_that_cannot_be_written_is_said_by_commands_that_need_no_service(
    say: Spoken, tmp_path: Path
) -> None:
    say.environment["RAPPORT_HOME"] = str(written(tmp_path / "file", ""))
    command = ("user", "add", "a@acme.com", "--tenant", TENANT, "--role", "admin")
    say(*command).is_refusal(69, "cannot be written", "check its rights")
