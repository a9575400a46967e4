"""The master key: found, made once, proven, never replaced."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from pydantic import SecretStr

from rapport.store import open_store
from rapport.store.master_key import read_key
from rapport_core.errors import ConfigError
from store_processes import MASTER_KEY, StoreSettings, use_keys


def test_a_local_store_makes_its_key_for_its_owner_only(tmp_path: Path) -> None:
    """First use writes master.key with rights 0600; so is the database."""
    open_store(StoreSettings(tmp_path)).close()
    assert (tmp_path / "master.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "store.db").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("keep_key", [True, False])
def test_a_lost_key_is_said_and_never_made_again(tmp_path: Path, keep_key: bool) -> None:
    """A new key could not open what is sealed."""
    with open_store(StoreSettings(tmp_path)) as store:
        if keep_key:
            use_keys(store)
    (tmp_path / "master.key").unlink()
    with pytest.raises(ConfigError, match="master key of this store is missing"):
        open_store(StoreSettings(tmp_path))
    assert not (tmp_path / "master.key").exists()


def test_a_wrong_key_is_refused(tmp_path: Path) -> None:
    """A store opens with the key it was made with only."""
    open_store(StoreSettings(tmp_path, master_key=SecretStr("22" * 32))).close()
    with pytest.raises(ConfigError, match="the master key does not open this store"):
        open_store(StoreSettings(tmp_path, master_key=SecretStr(MASTER_KEY)))


def test_the_same_key_may_come_from_the_environment_or_a_file(tmp_path: Path) -> None:
    """Where the key stands makes no difference."""
    with open_store(StoreSettings(tmp_path, master_key=SecretStr(MASTER_KEY))) as store:
        before = use_keys(store)
    file = tmp_path / "secret"
    file.write_text(base64.b64encode(bytes.fromhex(MASTER_KEY)).decode() + "\n")
    with open_store(StoreSettings(tmp_path, master_key_file=file)) as store:
        assert use_keys(store) == before


@pytest.mark.parametrize("text", ["", "secret", "11" * 31, base64.b64encode(b"x" * 31).decode(), "ü" * 44])
def test_what_is_no_key_is_said_without_repeating_it(text: str) -> None:
    """The message names the source and the form, never the value."""
    with pytest.raises(ConfigError, match="RAPPORT_MASTER_KEY does not hold a master key") as caught:
        read_key(text, "RAPPORT_MASTER_KEY")
    assert not text or text not in str(caught.value)


def test_a_missing_key_file_is_one_sentence(tmp_path: Path) -> None:
    """The file named by the settings must be there."""
    with pytest.raises(ConfigError, match="cannot be read"):
        open_store(StoreSettings(tmp_path, master_key_file=tmp_path / "nothing"))
