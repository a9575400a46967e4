"""What reaches the logs."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from rapport.logs import configure

CHATTY = ("alembic.runtime.migration", "httpcore2.connection", "httpx2", "uvicorn.error", "uvicorn")


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("", "alembic", "httpcore2", "httpx2", "uvicorn")]
    before = [(logger, logger.level, list(logger.handlers)) for logger in loggers]
    yield
    for logger, level, handlers in before:
        logger.setLevel(level)
        logger.handlers = handlers


@pytest.mark.parametrize("level", ["debug", "info"])
@pytest.mark.parametrize("name", CHATTY)
def test_libraries_that_tell_of_every_start_are_silent(
    level: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Their warnings are not."""
    configure(level)
    logging.getLogger(name).info("Context impl SQLiteImpl.")
    assert capsys.readouterr().err == ""
    logging.getLogger(name).warning("something is wrong")
    assert "something is wrong" in capsys.readouterr().err


def test_a_command_shows_no_records_of_libraries(capsys: pytest.CaptureFixture[str]) -> None:
    """At `error` a warning of a library stays out of the way of the sentence."""
    configure("error")
    logging.getLogger("uvicorn.error").warning("something is wrong")
    assert capsys.readouterr().err == ""
