"""A Confluent-compatible schema registry: three calls, made once when a process starts."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from rapport_core.errors import ConfigError, UnavailableError
from rapport_schemas.topics import CATALOGUE
from rapport_schemas.wire import FIXED_IDS, schema_json, versions

_SECONDS = 15.0
_COMPATIBILITY = "FULL_TRANSITIVE"


def registered_ids(url: str) -> dict[str, tuple[int, ...]]:
    """The registry's ids of every record schema's versions, registered under its topics' subjects first. Safe to repeat.

    Raises:
        ConfigError: the registry holds something our schema is not compatible with, or refuses us.
        UnavailableError: it cannot be reached.
    """
    subjects = {topic.schema: f"{topic.name}-value" for topic in CATALOGUE}
    for topic in CATALOGUE:
        subject = quote(f"{topic.name}-value", safe="")
        _call(url, "PUT", f"/config/{subject}", {"compatibility": _COMPATIBILITY})
        subjects[topic.schema] = subject
        _register(url, subject, topic.schema)
    return {name: _register(url, subjects[name], name) for name in FIXED_IDS}


def _register(url: str, subject: str, name: str) -> tuple[int, ...]:
    """Every version in its order, so that the registry's history is ours."""
    path = f"/subjects/{subject}/versions"
    schemas = (json.dumps(schema_json(name, version)) for version in range(1, versions(name) + 1))
    return tuple(int(_call(url, "POST", path, {"schema": text})["id"]) for text in schemas)


def _call(url: str, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    request = _request(url, method, path, body)
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as response:  # noqa: S310 - settings allow http(s) only
            found: dict[str, Any] = json.load(response)
            return found
    except urllib.error.HTTPError as error:
        if error.code == 409:
            raise ConfigError(
                f"the schema registry holds an incompatible schema for {path.split('/')[2]}"
            ) from error
        if error.code < 500:
            raise ConfigError(
                f"the schema registry refused {method} {path} with status {error.code}"
            ) from error
        raise UnavailableError(f"the schema registry failed with status {error.code}; try again") from error
    except (OSError, ValueError) as error:
        raise UnavailableError(
            f"the schema registry at {urlsplit(url).hostname} cannot be reached"
        ) from error


def _request(url: str, method: str, path: str, body: dict[str, Any]) -> urllib.request.Request:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    target = urlunsplit((parts.scheme, host, parts.path.rstrip("/") + path, "", ""))
    headers = {"Content-Type": "application/vnd.schemaregistry.v1+json"}
    if parts.username:
        secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = "Basic " + base64.b64encode(secret.encode()).decode()
    return urllib.request.Request(target, json.dumps(body).encode(), headers, method=method)  # noqa: S310 - see above
