"""Whole instances, as a user runs them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from local_stack import RunningStack, stack, why_no_kafka

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A running `rapport up` with two workers, for the tests of one file."""
    reason = why_no_kafka()
    if reason:
        pytest.skip(reason)
    with stack(tmp_path_factory.mktemp("instance"), workers=2) as running:
        yield running


@pytest.fixture(scope="module")
def rapport(instance: RunningStack) -> Run:
    """Runs a command against the instance, which must succeed; with `--json` the parsed answer comes back."""

    def run(*arguments: object, seconds: float = 240.0) -> Any:
        done = instance.rapport(*map(str, arguments), seconds=seconds)
        assert done.returncode == 0, f"{arguments}: {done.stderr}\n{done.stdout}"
        return json.loads(done.stdout) if "--json" in arguments else done.stdout

    return run
