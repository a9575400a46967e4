"""Pages, confirmations and what happens without them."""

from __future__ import annotations

import pytest

from memory_log import MemoryLog, MemoryProducer
from rapport_core.clock import SystemClock
from rapport_core.errors import PoisonError, UnavailableError
from rapport_producers.pages import PAGE_BYTES, Pager, bound, fitting
from rapport_producers.publisher import Publisher
from rapport_producers.records import Owner
from rapport_schemas.changes import mail_change, mail_fields, mail_structure, still_shown
from rapport_schemas.records import Change, MailPerson, MimePart
from rapport_schemas.topics import MAIL_RAW, Lane
from rapport_schemas.wire import encode_body


def change(headers: int, *, preview: str = "", parts: int = 0) -> Change:
    part: MimePart = {"type": "text/plain", "filename": "ü" * 255, "parameters": "method=request"}
    mail = mail_fields(
        b"h" * headers,
        mime=[part] * parts,
        preview=preview,
        size=2**60,
        folder="sent",
        labels=["å"] * 3,
        conversation="c",
    )
    return mail_change("p" * 34, mail)


def structured(people: int) -> Change:
    person: MailPerson = {"role": "reply_to", "name": "€" * 100, "address": "å" * 100}
    structure = mail_structure(
        message_id="ß" * 99, subject="€" * 300, sent=-(2**60), people=[person] * people
    )
    mail = mail_fields(b"", structured=structure)
    return mail_change("p", mail, [*mail])


def publisher(producer: MemoryProducer, log: MemoryLog, **options: float) -> Publisher[int]:
    owner = Owner("t", "c", "m", "archive")
    return Publisher(
        producer,
        log.wire,
        log.keys,
        clock=SystemClock(),
        owner=owner,
        topic=MAIL_RAW[Lane.LIVE],
        unconfirmed=int(options.get("unconfirmed", 4)),
        patience=options.get("patience", 60.0),
    )


def test_the_bound_is_never_below_the_encoded_size() -> None:
    """So that no page can grow over its limit."""
    for one in (
        change(0),
        change(70_000, preview="€" * 200),
        change(9, parts=200),
        still_shown("p" * 34),
        structured(0),
        structured(200),
    ):
        assert len(encode_body("page_body", {"changes": [one]})) <= bound(one) + 16


def test_a_change_that_does_not_fit_keeps_its_headers() -> None:
    """The preview goes first, then the tree; headers that fit no page are poison."""
    whole = change(1000, preview="x" * 200, parts=2)
    assert fitting(whole).change == whole
    no_preview = fitting(change(PAGE_BYTES - 1600, preview="x" * 200, parts=1)).change["mail"]
    assert no_preview
    assert (no_preview["preview"], len(no_preview["mime"])) == ("", 1)
    no_tree = fitting(change(PAGE_BYTES - 1600, preview="x" * 200, parts=2)).change["mail"]
    assert no_tree
    assert (no_tree["preview"], no_tree["mime"], len(no_tree["headers"])) == ("", [], PAGE_BYTES - 1600)
    with pytest.raises(PoisonError, match="does not fit"):
        fitting(change(PAGE_BYTES))


def test_a_pager_takes_changes_while_they_fit() -> None:
    """By count and by size."""
    pager = Pager()
    small = fitting(change(10))
    for _ in range(200):
        assert pager.takes(small)
        pager.add(small)
    assert not pager.takes(small)
    assert len(pager.take()) == 200
    big = fitting(change(PAGE_BYTES // 2))
    pager.add(big)
    assert not pager.takes(big)
    assert pager.takes(small)


def test_the_confirmed_token_is_that_of_the_last_page_in_order() -> None:
    """And no more than the allowed number of records is ever unconfirmed."""
    log = MemoryLog()
    producer = MemoryProducer(log, batch=1)
    pages = publisher(producer, log)
    for number in range(20):
        pages.page("s", [change(10)], number, number)
        confirmed = len(log.records)
        assert pages.confirmed == (confirmed - 1 if confirmed else None)
    assert producer.most <= 4
    pages.drain()
    assert (pages.confirmed, len(producer)) == (19, 0)


def test_a_broker_that_confirms_nothing_counts_as_gone() -> None:
    """After the patience, in one sentence."""
    log = MemoryLog()
    pages = publisher(MemoryProducer(log, dead=True), log, patience=0.05)
    pages.page("s", [change(10)], 1, 1)
    with pytest.raises(UnavailableError, match="nothing was confirmed"):
        pages.drain()
    assert pages.confirmed is None


def test_a_refused_record_stops_everything_after_it() -> None:
    """No later page is confirmed over a hole."""
    log = MemoryLog()
    pages = publisher(MemoryProducer(log, refuse=MAIL_RAW[Lane.LIVE].name), log)

    def publish_all() -> None:
        for number in range(9):
            pages.page("s", [change(10)], number, number)

    with pytest.raises(UnavailableError, match="Broker: refused"):
        publish_all()
    assert pages.confirmed is None


def test_a_record_that_the_broker_put_nowhere_stops_everything_after_it() -> None:
    """Success without an offset: the record was overtaken in a partition that was just created, and is in no log."""
    log = MemoryLog()
    pages = publisher(MemoryProducer(log, forget=MAIL_RAW[Lane.LIVE].name), log)

    def publish() -> None:
        pages.page("s", [change(10)], 1, 1)
        pages.drain()

    with pytest.raises(UnavailableError, match="did not say where"):
        publish()
    assert pages.confirmed is None
