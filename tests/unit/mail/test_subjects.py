"""Subjects compare without prefixes, tags, white space and case."""

from __future__ import annotations

import pytest

from rapport_processors.mail.subjects import base_subject, has_reply_prefix

PREFIXES = [
    "Re",
    "Fw",
    "Fwd",
    "AW",
    "WG",
    "SV",
    "VB",
    "VS",
    "VL",
    "Antw",
    "Doorst",
    "TR",
    "RV",
    "RES",
    "ENC",
    "R",
    "I",
    "Rif",
    "Odp",
    "PD",
    "YNT",
    "İLT",
    "Vá",
    "Továbbítás",
    "\u041d\u0410",
    "Отв",
    "Пересл",
    "回复",
    "转发",
    "答复",
    "Svar",
    "Ref",
    "Rép",
    "Réf",
]


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("colon", [":", "\uff1a", " : "])
def test_prefixes_of_all_languages_go(prefix: str, colon: str) -> None:
    """Reply and forward prefixes, in any case, with an ordinary or a full-width colon."""
    for spelling in (prefix, prefix.upper(), prefix.lower()):
        assert base_subject(f"{spelling}{colon}Quarterly Report") == "quarterlyreport"
        assert has_reply_prefix(f"{spelling}{colon}Quarterly Report")


@pytest.mark.parametrize(
    "subject",
    [
        "Re: [USRP-users] Clock drift",
        "[USRP-users] RE[2]: AW: Clock\r\n drift",
        "Re^2: clock  drift",
        "Re(3): [list] [PATCH v2] Clock Drift",
        "R: R: R: phram,clock drift".replace("phram,", ""),
        "[Fwd: Clock drift]",
        "Clock drift (fwd)",
        "\u200fRe: Clock drift",
    ],
)
def test_prefixes_and_tags_may_be_interleaved_and_numbered(subject: str) -> None:
    """Counters, tags between prefixes, wrappers and invisible marks go."""
    assert base_subject(subject) == "clockdrift"
    assert has_reply_prefix(subject)


@pytest.mark.parametrize(
    "subject", ["mtd: spi: fix", "arm: boot", "Reply to all", "Regarding: x", "Reboot", "[tag] news", ""]
)
def test_topics_are_no_prefixes(subject: str) -> None:
    """An unknown word before a colon is a topic."""
    assert not has_reply_prefix(subject)


def test_white_space_and_width_do_not_matter() -> None:
    """A refolded or full-width subject is the same subject."""
    assert base_subject("phram, slram") == base_subject("PHRAM,slram") == base_subject("\uff50hram,\tslram")


def test_a_subject_that_is_a_tag_keeps_it() -> None:
    """Otherwise all of them would be one subject."""
    assert base_subject("Re: [urgent]") == "[urgent]"
