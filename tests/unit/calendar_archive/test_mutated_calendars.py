"""Whatever happens to one event of a calendar, the run ends in order and the other events are as they were."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from calendars import Said, run
from corpora import corpus
from memory_log import MemoryLog
from rapport_core.errors import ConfigError
from rapport_schemas.records import Change

_EVENT = re.compile(rb"BEGIN:VEVENT\r?\n(.*?)END:VEVENT\r?\n", re.DOTALL)
_UID = re.compile(rb"^UID:.*?\r?\n", re.MULTILINE)


@cache
def bodies() -> list[bytes]:
    """The insides of the corpora's events, without UID, zones that only their own file defines, or parts of their own."""
    found = []
    for path in sorted(corpus("itip").rglob("*.ics")) + sorted(corpus("ics").rglob("*.ics")):
        for body in _EVENT.findall(path.read_bytes()):
            if body.startswith(b" ") or b"BEGIN:" in body or len(body) > 3000:
                continue
            found.append(_UID.sub(b"", body))
    return sorted(set(found))


def calendar(parts: list[bytes]) -> bytes:
    """Each event with a UID of its own."""
    events = (
        b"BEGIN:VEVENT\r\nUID:u%d\r\n%sEND:VEVENT\r\n" % (number, part) for number, part in enumerate(parts)
    )
    return b"BEGIN:VCALENDAR\r\n%sEND:VCALENDAR\r\n" % b"".join(events)


def changes(folder: Path, text: bytes) -> list[Change]:
    """What a run publishes; that it ends in one of the known ways is part of every test here."""
    path, log = folder / "cal.ics", MemoryLog()
    path.write_bytes(text)
    try:
        outcome = run(path, log)
    except ConfigError:
        return log.changes()
    found = Said(outcome, log)
    assert outcome.compared is (outcome.silence is None)
    assert len(found.dead()) == outcome.dead
    return log.changes()


@st.composite
def mutated(draw: st.DrawFn) -> tuple[list[bytes], bytes]:
    """Three events, and what becomes of the one in the middle: bytes changed, put in, taken out."""
    parts = [draw(st.sampled_from(bodies())) for _ in range(3)]
    body = bytearray(parts[1])
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, len(body)))
        kind = draw(st.sampled_from(["put", "cut", "set"]))
        odd = draw(
            st.one_of(
                st.binary(min_size=1, max_size=8),
                st.sampled_from([b"\n", b"\r\n ", b";", b":", b'"', b"9" * 30]),
            )
        )
        body[place : place + (0 if kind == "put" else len(odd))] = b"" if kind == "cut" else odd
    # The lines around it are not its own: the last one ends, and the first does not go on from the one before.
    return parts, bytes(body).lstrip(b" \t") + b"\r\n"


@settings(max_examples=60, deadline=None)
@given(mutated())
def test_a_mutated_event_takes_nothing_with_it(
    tmp_path_factory: object, drawn: tuple[list[bytes], bytes]
) -> None:
    """Its neighbours say exactly what they say beside the event as it was."""
    parts, body = drawn
    folder = tmp_path_factory.mktemp("cal")  # type: ignore[attr-defined]

    def others(text: bytes) -> list[Change]:
        return [one for one in changes(folder, text) if one["event"] is None or one["event"]["uid"] != "u1"]

    alone = changes(folder, calendar(parts[:1]) + calendar([b"", b"", parts[2]]))
    base = {one["provider_id"] for one in alone if one["event"] or one["op"] != "upsert"}
    whole = [one for one in others(calendar(parts)) if one["provider_id"] in base]
    broken = [one for one in others(calendar([parts[0], body, parts[2]])) if one["provider_id"] in base]
    assert broken == whole


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_no_bytes_crash_a_run(tmp_path_factory: object, data: st.DataObject) -> None:
    """Whole files of the corpora with bytes changed anywhere, cut anywhere."""
    paths = sorted(corpus("itip").rglob("*.ics")) + sorted(corpus("ics").rglob("*.ics"))
    text = bytearray(data.draw(st.sampled_from(paths)).read_bytes()[:20_000])
    for _ in range(data.draw(st.integers(1, 10))):
        place = data.draw(st.integers(0, len(text)))
        text[place : place + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=6))
    folder = tmp_path_factory.mktemp("cal")  # type: ignore[attr-defined]
    changes(folder, bytes(text[: data.draw(st.integers(0, len(text)))]))
    changes(folder, bytes(text))
