"""`rapport connect microsoft` against a real Kafka and the simulated Microsoft over TLS."""

from __future__ import annotations

import json
import re
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest

import signing_browser
from directory_entries import entry, tenant
from graph import Simulator
from graph.entra import CLIENT_ID, CLIENT_SECRET
from graph.serving import Served
from local_stack import RAPPORT, TestBroker, bare_environment, kafka_broker, wait_until, why_no_kafka
from rapport.connecting.credential import Credential
from rapport.kafka import consumer, ensure_topics, producer, wire
from rapport.settings import Endpoints, Settings
from rapport.store import Store, open_store
from rapport.topic_reader import read_all
from rapport_schemas.topics import CONNECTIONS, DIRECTORY, WAKEUPS, Topic, composite_key

pytestmark = pytest.mark.stack

PEOPLE = {"m1": "anna@acme.example", "m2": "bert@acme.example", "m3": "cleo@acme.example"}
MEMBERS = (
    entry("member", "m1", PEOPLE["m1"]),
    entry("member", "m2", PEOPLE["m2"], "bertil@acme.example"),
    entry("member", "m3", PEOPLE["m3"]),
)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestBroker]:
    """A broker with topics, and three members in the directory."""
    reason = why_no_kafka()
    if reason:
        pytest.skip(reason)
    with kafka_broker(tmp_path_factory.mktemp("broker")) as running:
        where = Endpoints(running.bootstrap, "", None, "", None)
        ensure_topics(where, [DIRECTORY, CONNECTIONS, WAKEUPS])
        client, encode = producer(where), wire(where).encode
        for one in (tenant("acme.example"), *MEMBERS):
            key = composite_key(one["tenant"], one["kind"], one["id"])
            client.produce(DIRECTORY.name, encode("directory_entry", one), key=key)
        assert client.flush(30) == 0
        yield running


@dataclass
class Office:
    """A home, the simulated Microsoft, and the command line."""

    home: Path
    simulator: Simulator
    served: Served
    environment: dict[str, str]

    def rapport(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs a command."""
        return subprocess.run(
            [*RAPPORT, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def with_a_browser(self, *arguments: str) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
        """Runs a command that opens a browser; returns what that saw in the end, too."""
        log = self.home / "browser.json"
        log.unlink(missing_ok=True)
        browser = (sys.executable, signing_browser.__file__, str(self.served.ca_file), str(log), "%s")
        self.environment["BROWSER"] = " ".join(browser)
        done = self.rapport(*arguments)
        wait_until(log.exists)  # the browser may close later than the command ends
        return done, json.loads(log.read_text("utf-8"))

    def store(self) -> Store:
        """Its store."""
        return open_store(Settings(home=self.home))

    def credential(self, connection: str) -> Credential | None:
        with self.store() as store:
            kept = store.vault.get("acme", connection)
        return None if kept is None else Credential.from_bytes(kept)

    def said(self, topic: Topic, connection: str) -> list[dict[str, Any]]:
        """What the log says of a connection, in order."""
        where = Endpoints(self.environment["RAPPORT_KAFKA"], "", None, "", None)
        key = composite_key("acme", connection)
        with closing(consumer(where, "reader")) as reader:
            return [
                wire(where).decode(topic.schema, message.value() or b"")
                for message in read_all(reader, topic)
                if message.key() == key
            ]


@pytest.fixture
def office(tmp_path: Path, broker: TestBroker) -> Iterator[Office]:
    """Nobody connected; the mailboxes of the members are there."""
    simulator = Simulator(seed=7)
    for address in PEOPLE.values():
        simulator.mailbox(address)
    home = tmp_path / "home"
    with simulator.serve(tmp_path) as served:
        environment = {
            name: value
            for name, value in bare_environment().items()
            if name not in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
        } | {
            "RAPPORT_HOME": str(home),
            "RAPPORT_KAFKA": broker.bootstrap,
            "RAPPORT_CLICKHOUSE": "http://rapport:secret@127.0.0.1:1/rapport",
            "RAPPORT_MICROSOFT_CLIENT_ID": CLIENT_ID,
            "RAPPORT_MICROSOFT_CLIENT_SECRET": CLIENT_SECRET,
            "RAPPORT_MICROSOFT_AUTHORITY": served.authority,
            "RAPPORT_MICROSOFT_GRAPH": served.graph,
            "RAPPORT_CA_FILE": str(served.ca_file),
            "COLUMNS": "80",
        }
        yield Office(home, simulator, served, environment)


def test_a_member_connects_with_a_browser_sees_it_and_takes_it_back(office: Office) -> None:
    connect = ("connect", "microsoft", "--tenant", "acme", "--member", "m1", "--connection", "browser-m1")
    done, seen = office.with_a_browser(*connect, "--json")
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert (made["id"], made["member"], made["state"], made["access"]) == (
        *("browser-m1", "m1", "connected"),
        "delegated",
    )
    assert (seen["host"], seen["status"]) == ("localhost", 200)
    assert "Connected" in seen["text"]
    kept = office.credential("browser-m1")
    assert kept is not None
    assert [one["state"] for one in office.said(CONNECTIONS, "browser-m1")] == ["connected"]
    assert [one["kind"] for one in office.said(WAKEUPS, "browser-m1")] == ["changed"]

    listed = office.rapport("connections", "--tenant", "acme")
    assert "browser-m1" in listed.stdout
    assert max(map(len, listed.stdout.splitlines())) <= 80
    documents = json.loads(office.rapport("connections", "--tenant", "acme", "--json").stdout)
    assert [one for one in documents if one["id"] == "browser-m1"] == [made]

    revoked = office.rapport("revoke", "browser-m1", "--tenant", "acme")
    assert revoked.returncode == 0, revoked.stderr
    assert office.credential("browser-m1") is None
    assert office.said(CONNECTIONS, "browser-m1")[-1]["state"] == "needs_auth"

    again, _ = office.with_a_browser(*connect)
    assert "browser-m1 is connected." in again.stdout
    assert max(map(len, again.stdout.splitlines())) <= 80
    assert office.credential("browser-m1") is not None
    with office.store() as store:
        actions = [one.action for one in store.audit.entries("acme")]
    assert actions == ["connected", "connection_revoked", "connected"]
    secrets = [kept.cache.partition("simulated-refresh-")[2][:20], CLIENT_SECRET]
    for text in (done.stdout, done.stderr, again.stdout, again.stderr, revoked.stdout, listed.stdout):
        assert not any(secret in text for secret in secrets)


def test_somebody_elses_account_connects_nothing_and_the_browser_says_so(office: Office) -> None:
    """Of a member with several addresses nobody knows which is the account's, so Microsoft lets people choose."""
    office.simulator.entra.signs_in = PEOPLE["m1"]
    connect = ("connect", "microsoft", "--tenant", "acme", "--member", "m2", "--connection", "wrong")
    done, seen = office.with_a_browser(*connect)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "which is the account of m1, not of m2" in done.stderr
    assert "Not connected" in seen["text"]
    assert "which is the account of m1, not of m2" in seen["text"]
    assert office.credential("wrong") is None
    assert office.said(CONNECTIONS, "wrong") == []


@pytest.mark.parametrize("device", [True, False])
def test_a_code_does_where_there_is_no_browser(office: Office, device: bool) -> None:
    """Asked for, or because nothing else can be done."""
    name = "code-m3"
    command = ["connect", "microsoft", "--tenant", "acme", "--member", "m3", "--connection", name]
    process = subprocess.Popen(
        [*RAPPORT, *command, *(["--device"] if device else [])],
        env=office.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        told = ""
        while not (found := re.search(r"enter the code (\w+)", told)):
            line = process.stderr.readline()
            assert line, told
            told += line
        office.simulator.entra.enter_device_code(found[1], office.simulator.mailbox(PEOPLE["m3"]))
        out, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0
    assert ("This machine has no browser" in told) is not device
    assert f"{name} is connected." in out
    assert office.credential(name) is not None


def test_everybody_by_an_administrators_consent(office: Office) -> None:
    command = (
        "connect",
        "microsoft",
        "--tenant",
        "acme",
        "--application",
        "--microsoft-tenant",
        "acme.example",
    )
    refused = office.rapport(*command)
    assert refused.returncode == 2
    link = re.search(r"https://\S+", refused.stderr)
    assert link is not None
    assert urlsplit(link[0]).path == "/acme.example/adminconsent"
    assert parse_qs(urlsplit(link[0]).query)["client_id"] == [CLIENT_ID]
    assert office.said(CONNECTIONS, "microsoft-m2") == []

    with httpx2.Client(verify=ssl.create_default_context(cafile=office.served.ca_file)) as administrator:
        assert administrator.get(link[0]).status_code == 200
    done = office.rapport(*command, "--except", "m3", "--json")
    assert done.returncode == 0, done.stderr
    told = {one["member"]: one for one in json.loads(done.stdout)}
    assert told["m2"]["connection"]["access"] == "application"
    assert told["m3"] == {"member": "m3", "connection": None, "reason": "left out, as was asked"}
    kept = office.credential("microsoft-m2")
    assert kept is not None
    assert kept.root == "/users/bert%40acme.example"
    assert office.said(CONNECTIONS, "microsoft-m3")[-1]["state"] == "paused"

    again = office.rapport(*command)
    assert "2 of 3 members connected" in again.stdout
    assert "m3: was left out or revoked" in again.stdout
    assert max(map(len, again.stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--member m9", "has no member m9"),
        ("", "--member is an id of the directory"),
        ("--member m1 --features send_mail", "choose of out_of_office"),
        ("--member m1 --except m2", "go with --application"),
        ("--application --microsoft-tenant x --device", "for one member who signs in"),
        ("--application", "--microsoft-tenant is the organisation's domain"),
    ],
)
def test_wrong_use_is_one_sentence(office: Office, arguments: str, words: str) -> None:
    done = office.rapport("connect", "microsoft", "--tenant", "acme", *arguments.split())
    assert done.returncode == 2
    assert done.stdout == ""
    assert words in done.stderr.splitlines()[-1]
