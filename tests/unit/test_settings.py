"""Settings come from the environment, and a wrong one is named in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from rapport.local import instance
from rapport.settings import Endpoints, Settings, endpoints, load_settings, to_environment
from rapport_core.errors import ConfigError, UnavailableError


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"RAPPORT_{name.upper()}", raising=False)
    monkeypatch.setenv("RAPPORT_HOME", str(tmp_path / "home"))


def test_defaults_need_no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without any variable the home is `.rapport` beside the caller, as an absolute path."""
    monkeypatch.delenv("RAPPORT_HOME")
    monkeypatch.chdir(tmp_path)
    settings = load_settings()
    assert settings.home == tmp_path / ".rapport"
    assert (settings.workers, settings.kafka, settings.kafka_port) == (1, None, 0)


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_KAFKA", "")
    assert load_settings().kafka is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RAPPORT_WORKERS", "0"),
        ("RAPPORT_WORKERS", "many"),
        ("RAPPORT_KAFKA_PORT", "70000"),
        ("RAPPORT_KAFKA", "localhost"),
        ("RAPPORT_KAFKA", "a:1,b"),
        ("RAPPORT_CLICKHOUSE", "localhost:8123"),
        ("RAPPORT_KAFKA_HEAP", "1x; rm"),
        ("RAPPORT_LOG_LEVEL", "loud"),
    ],
)
def test_a_wrong_value_names_its_variable(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=name) as caught:
        load_settings()
    assert "\n" not in str(caught.value)


def test_a_misspelt_setting_is_refused_with_a_suggestion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_WORKRES", "2")
    with pytest.raises(ConfigError, match="did you mean RAPPORT_WORKERS"):
        load_settings()


def test_a_foreign_variable_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_SOMETHING_ELSE", "1")
    load_settings()


def test_nothing_running_says_how_to_start() -> None:
    with pytest.raises(UnavailableError, match="start it with rapport up"):
        endpoints(load_settings())


def test_the_record_of_a_dead_instance_does_not_count() -> None:
    """After a kill -9 of `rapport up` the file stays but nobody holds the lock."""
    home = load_settings().home
    instance.make_private_folder(home)
    instance.write(home, instance.Instance(kafka="127.0.0.1:1", clickhouse="http://u:p@127.0.0.1:2/rapport"))
    with pytest.raises(UnavailableError):
        endpoints(load_settings())


def test_endpoints_of_a_running_instance() -> None:
    settings = load_settings()
    instance.make_private_folder(settings.home)
    record = instance.Instance("127.0.0.1:1", 3, "http://u:secret@127.0.0.1:2/rapport", "http://127.0.0.1:4")
    with instance.take_lock(settings.home):
        instance.write(settings.home, record)
        found = endpoints(settings)
    assert found == Endpoints(
        "127.0.0.1:1",
        "http://u:secret@127.0.0.1:2/rapport",
        None,
        f"sqlite:///{settings.home}/store.db",
        "http://127.0.0.1:4",
    )
    assert "secret" not in repr(found)
    assert (settings.home / "instance.json").stat().st_mode & 0o777 == 0o600
    assert settings.home.stat().st_mode & 0o777 == 0o700


def test_explicit_services_need_no_instance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAPPORT_KAFKA", "kafka.internal:9092")
    monkeypatch.setenv("RAPPORT_CLICKHOUSE", "https://u:p@clickhouse.internal:8443/rapport")
    assert endpoints(load_settings()).kafka == "kafka.internal:9092"


def test_a_second_instance_on_the_same_home_is_refused(tmp_path: Path) -> None:
    with instance.take_lock(tmp_path), pytest.raises(ConfigError, match="already runs under"):
        instance.take_lock(tmp_path)
    instance.take_lock(tmp_path).close()


def test_a_child_gets_the_same_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the parent was given, secrets included, is what the child reads."""
    parent = load_settings().model_copy(update={"workers": 3, "kafka": "a:1"})
    monkeypatch.setenv("RAPPORT_MASTER_KEY", "s3cret")
    parent = load_settings().model_copy(update={"workers": 3, "kafka": "a:1"})
    for name, value in to_environment(parent).items():
        monkeypatch.setenv(name, value)
    assert load_settings() == parent
    assert "s3cret" not in repr(parent)


@pytest.mark.parametrize(
    ("number", "kind", "words"),
    [
        (28, UnavailableError, "is full: free some space"),
        (13, ConfigError, "choose another folder with RAPPORT_HOME"),
    ],
)
def test_a_home_that_cannot_be_used_says_what_to_do(number: int, kind: type[Exception], words: str) -> None:
    error = instance.folder_error(Path("/data"), OSError(number, "reason"))
    assert isinstance(error, kind)
    assert words in str(error)
