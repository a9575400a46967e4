"""What a person may set, and where the services of this instance are.

Every setting is an environment variable `RAPPORT_<NAME>`. What `rapport up` chose (ports, the ClickHouse password)
stands in `instance.json` under the home folder and holds as long as that `rapport up` runs.
"""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from rapport.local import instance
from rapport_core.errors import ConfigError, UnavailableError
from rapport_schemas.topics import PARTITIONS

PREFIX = "RAPPORT_"
Port = Annotated[int, Field(ge=0, le=65535)]


class Settings(BaseSettings):
    """The settings of one process. Empty variables count as unset."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True)

    home: Path = Field(default=Path(".rapport"), description="folder of everything this instance keeps")
    kafka: str | None = Field(
        default=None, description="bootstrap servers of a Kafka of your own: host:port[,host:port]"
    )
    clickhouse: str | None = Field(
        default=None, description="a ClickHouse of your own: http://user:password@host:port/database"
    )
    schema_registry: str | None = Field(
        default=None, description="Confluent-compatible schema registry: http://host:port"
    )
    store: str | None = Field(
        default=None, description="SQLAlchemy URL of the store; SQLite under home when unset"
    )
    master_key: SecretStr | None = Field(default=None, description="key that seals the secrets in the store")
    master_key_file: Path | None = Field(
        default=None, description="file with that key; home/master.key when unset"
    )
    workers: int = Field(
        default=1, ge=1, le=PARTITIONS, description="worker processes that rapport up starts"
    )
    worker: int = Field(
        default=0, ge=0, description="number of this worker; rapport up sets it for its children"
    )
    kafka_port: Port = Field(default=0, description="port of the local Kafka; 0: a free one")
    clickhouse_port: Port = Field(default=0, description="port of the local ClickHouse; 0: a free one")
    dashboard_port: Port = Field(default=0, description="port of the dashboard; 0: a free one")
    kafka_heap: str = Field(
        default="512m", pattern=r"^[1-9][0-9]*[mg]$", description="Java heap of the local Kafka"
    )
    connectors: int = Field(
        default=1, ge=1, le=PARTITIONS, description="connector processes that rapport up starts"
    )
    connector: int = Field(
        default=0, ge=0, description="number of this connector; rapport up sets it for its children"
    )
    microsoft_client_id: str | None = Field(
        default=None, description="application (client) id of your app registration in Microsoft Entra"
    )
    microsoft_client_secret: SecretStr | None = Field(
        default=None, description="its client secret; unset for a public client"
    )
    microsoft_authority: str = Field(
        default="https://login.microsoftonline.com/organizations",
        description="where Microsoft accounts sign in",
    )
    microsoft_graph: str = Field(
        default="https://graph.microsoft.com/v1.0", description="address of Microsoft Graph"
    )
    public_url: str | None = Field(
        default=None,
        description="https address under which dashboard and receiver are reached from outside; unset: no push",
    )
    webhook_port: Port = Field(default=0, description="port of the receiver of notifications; 0: a free one")
    ca_file: Path | None = Field(
        default=None,
        description="certificates to trust besides the usual ones, in PEM, when asking providers",
    )
    log_level: str = Field(
        default="info", pattern=r"^(debug|info|warning|error)$", description="least level that is logged"
    )

    @field_validator("home", "master_key_file", "ca_file")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        """Children and later commands see the same folder wherever they are started."""
        return None if path is None else Path(os.path.abspath(path.expanduser()))  # noqa: PTH100 - keeps symlinks

    @field_validator("kafka")
    @classmethod
    def _bootstrap(cls, value: str | None) -> str | None:
        for server in (value or "").split(",") if value else ():
            host, colon, port = server.strip().rpartition(":")
            if not (host and colon and port.isdigit()):
                raise ValueError("must be host:port[,host:port]")
        return value

    @field_validator("microsoft_authority", "microsoft_graph", "public_url")
    @classmethod
    def _https(cls, value: str | None) -> str | None:
        if value is not None and (urlsplit(value).scheme != "https" or not urlsplit(value).hostname):
            raise ValueError("must be an address like https://host[:port]/path")
        return None if value is None else value.rstrip("/")

    @field_validator("clickhouse", "schema_registry")
    @classmethod
    def _http(cls, value: str | None) -> str | None:
        if value is not None and (
            urlsplit(value).scheme not in {"http", "https"} or not urlsplit(value).hostname
        ):
            raise ValueError("must be an address like http://user:password@host:port/name")
        return value


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the services are. `repr` hides passwords."""

    kafka: str
    clickhouse: str
    schema_registry: str | None
    store: str
    dashboard: str | None

    def __repr__(self) -> str:
        return f"Endpoints(kafka={self.kafka!r}, …)"


def load_settings() -> Settings:
    """The settings of this process from its environment. Raises ConfigError in one sentence."""
    _refuse_misspelt()
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = PREFIX + "_".join(str(part) for part in first["loc"]).upper()
        reason = first["msg"].removeprefix("Value error, ").lower()
        raise ConfigError(f"{name} is wrong: {reason}") from None


def endpoints(settings: Settings) -> Endpoints:
    """What is set explicitly, else what the `rapport up` of this home recorded.

    Raises UnavailableError when a service is neither set nor running under this home.
    """
    running = instance.read_running(settings.home)
    if running is None and not (settings.kafka and settings.clickhouse):
        raise UnavailableError(f"nothing runs under {settings.home}: start it with rapport up")
    recorded = running or instance.Instance()
    return Endpoints(
        kafka=settings.kafka or recorded.kafka,
        clickhouse=settings.clickhouse or recorded.clickhouse,
        schema_registry=settings.schema_registry,
        store=settings.store or f"sqlite:///{settings.home / 'store.db'}",
        dashboard=recorded.dashboard or None,
    )


def to_environment(settings: Settings) -> dict[str, str]:
    """The variables that give a child process these settings."""
    found = {}
    for name in Settings.model_fields:
        value = getattr(settings, name)
        if value is not None:
            found[PREFIX + name.upper()] = (
                value.get_secret_value() if isinstance(value, SecretStr) else str(value)
            )
    return found


def _refuse_misspelt() -> None:
    """A setting that nobody reads is worse than an error; foreign names that resemble nothing are left alone."""
    known = [PREFIX + name.upper() for name in Settings.model_fields]
    for name in os.environ:
        if name.startswith(PREFIX) and name not in known:
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.85)
            if close:
                raise ConfigError(f"{name} is no setting; did you mean {close[0]}?")
