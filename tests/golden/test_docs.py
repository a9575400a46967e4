"""The documents name what the program has: nobody adds a setting, a command or an error without telling its users."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from rapport.cli.root import app
from rapport.settings import PREFIX, Settings
from rapport_core import errors
from rapport_processors.matching import Rule
from rapport_processors.model import MAIL_CLASSES

REPOSITORY = Path(__file__).parents[2]
OPERATE = (REPOSITORY / "docs/operate.md").read_text("utf-8")
COUNTING = (REPOSITORY / "docs/counting.md").read_text("utf-8")
DOCUMENTS = sorted({*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md")})
RULES = sorted(value for name, value in vars(Rule).items() if name.isupper())
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def commands(command: object, name: str = "rapport") -> Iterator[str]:
    """Every command that does something, by its whole name."""
    if not isinstance(command, TyperGroup):
        yield name
        return
    for part, inner in command.commands.items():
        yield from commands(inner, f"{name} {part}")


COMMANDS = sorted(commands(get_command(app)))
EXIT_CODES = sorted(
    {
        kind.exit_code
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.RapportError)
    }
)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_has_a_row_in_the_table(name: str) -> None:
    assert f"\n| `{PREFIX}{name.upper()}` |" in OPERATE


def test_the_table_has_no_setting_that_is_none() -> None:
    told = re.findall(rf"\n\| `{PREFIX}(\w+)` \|", OPERATE)
    assert sorted(name.lower() for name in told) == sorted(Settings.model_fields)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_in_the_documents(name: str) -> None:
    assert re.search(rf"`{name}\b", OPERATE)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_no_document_shows_a_command_that_is_none(path: Path) -> None:
    """Lines a reader copies: those of indented blocks that begin with a command."""
    blocks = re.findall(r"^ {4}(?:\$ )?(rapport [a-z]+(?: [a-z]+)?)", path.read_text("utf-8"), re.MULTILINE)
    for shown in blocks:
        known = any(shown == name or f"{shown} ".startswith(f"{name} ") for name in COMMANDS)
        assert known or shown == "rapport is ready", shown


@pytest.mark.parametrize("code", EXIT_CODES)
def test_every_exit_code_is_explained(code: int) -> None:
    assert f"\n| {code} |" in OPERATE


@pytest.mark.parametrize("word", [*RULES, *MAIL_CLASSES])
def test_an_analyst_finds_every_rule_and_class(word: str) -> None:
    assert f"\n| `{word}` |" in COUNTING


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_links_lead_somewhere(path: Path) -> None:
    for target in _LINK.findall(path.read_text("utf-8")):
        assert "://" in target or (path.parent / target).exists(), target
