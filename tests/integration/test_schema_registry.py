"""A real, Confluent-compatible registry (Apicurio, from Maven) gives our schemas ids, and the wire carries them."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_stack import wait_until
from rapport.local.ports import free_port
from rapport.registry import registered_ids
from rapport_core.errors import ConfigError, UnavailableError
from rapport_schemas.wire import FIXED_IDS, Wire, schema_json

pytestmark = [pytest.mark.soak, pytest.mark.timeout(600)]
ARTIFACT = "io.apicurio:apicurio-registry-app:2.6.13.Final:tar.gz:all"
PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its Confluent-compatible address."""
    if shutil.which("mvn") is None or shutil.which("java") is None:
        pytest.skip("no Maven or no Java on the PATH: the schema registry cannot run")
    folder = tmp_path_factory.mktemp("registry")
    subprocess.run(
        ["mvn", "-q", PLUGIN, f"-Dartifact={ARTIFACT}", f"-DoutputDirectory={folder}"], check=True, cwd=folder
    )
    with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
        archive.extractall(folder, filter="data")
    jar, port = next(folder.rglob("*-runner.jar")), free_port()
    command = [
        "java",
        "-Xmx512m",
        "-Dquarkus.http.host=127.0.0.1",
        f"-Dquarkus.http.port={port}",
        "-jar",
        str(jar),
    ]
    with (folder / "registry.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}/apis/ccompat/v7"
    try:
        wait_until(lambda: _answers(url), process, Path(log.name), 120)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(f"{url}/subjects", timeout=2).close()  # noqa: S310 - loopback
    except OSError:
        return False
    return True


def test_ids_come_from_the_registry_and_stay(registry: str) -> None:
    """Every record schema has an id, the same one each time; a record travels under it."""
    ids = registered_ids(registry)
    assert set(ids) == set(FIXED_IDS)
    assert registered_ids(registry) == ids
    cursor = {field["name"]: "" for field in schema_json("cursor")["fields"]} | {
        "fetch": 1,
        "sealed": b"",
        "updated_at": 2,
    }
    data = Wire(ids).encode("cursor", cursor)
    assert int.from_bytes(data[1:5], "big") == ids["cursor"][-1]
    assert Wire(ids).decode("cursor", data) == cursor


def test_a_registry_that_is_away_is_said() -> None:
    """One sentence, exit code 69."""
    with pytest.raises(UnavailableError, match="cannot be reached"):
        registered_ids(f"http://127.0.0.1:{free_port()}")


def test_an_incompatible_schema_is_refused(registry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """FULL_TRANSITIVE is set on our subjects: a field without a default does not get in."""
    registered_ids(registry)
    broken = schema_json("cursor")
    broken["fields"].append({"name": "extra", "type": "string"})
    real = schema_json
    monkeypatch.setattr(
        "rapport.registry.schema_json",
        lambda name, version=None: broken if name == "cursor" else real(name, version),
    )
    with pytest.raises(ConfigError, match="incompatible"):
        registered_ids(registry)
