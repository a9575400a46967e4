"""No record, no state value and no rewrite grows with a thread, and what one message can be made to hold is cut to size.

Each rule is shown at a size that takes seconds; at the size of the contract by `make soak`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from item_records import entry
from memory_pipeline import MemoryPipeline, mail
from rapport_schemas.records import DirectoryEntry, Entry, MailFields
from rapport_schemas.topics import ITEMS, MAX_MESSAGE_BYTES, ROUTED, THREAD_ALIAS, Lane

SMALL = 1_000
"""Bytes within which a row or a record stays that stands for one message or one thread key."""
START = datetime(2026, 1, 5, tzinfo=UTC)
MORE = pytest.mark.soak
Links = Callable[[int], Sequence[int]]


def letter(
    number: int,
    references: Sequence[int] = (),
    name: str = "thread",
    more: Mapping[str, str] | None = None,
) -> MailFields:
    """Mail number so-and-so of a thread, with more or other fields; ids and addresses have a realistic length."""
    fields = {
        "Message-ID": f"<{_id(name, number)}>",
        "From": f"Writer Number {number} <writer-{number % 50}@kund.example>",
        "To": "Somebody at Acme <somebody@acme.example>",
        "Date": format_datetime(START + timedelta(minutes=5 * number)),
        "Subject": "Re: the subject of a thread that goes on and on",
        "References": "\n ".join(f"<{_id(name, other)}>" for other in references),
        **(more or {}),
    }
    return mail("".join(f"{field}: {value}\n" for field, value in fields.items() if value), preview="Hello. ")


def _id(name: str, number: int) -> str:
    return f"{name}.{number:07d}.4f1c2a9be77d@mail-eu1.kund.example"


def star(number: int) -> list[int]:
    """Everybody answers the first mail."""
    return [0] if number else []


def chain(number: int) -> list[int]:
    """Everybody answers the last mail; programs keep the first reference and the last ones."""
    return sorted({0, *range(max(0, number - 10), number)}) if number else []


def whole_chain(number: int) -> range:
    """The same where programs keep a thousand."""
    return range(max(0, number - 1_000), number)


def bare_chain(number: int) -> list[int]:
    """The same where programs keep the last one only."""
    return [number - 1] if number else []


@dataclass(frozen=True)
class Largest:
    """The largest values of a pipeline, in bytes."""

    item: int
    alias: int
    record: int
    row: int


def measure(pipeline: MemoryPipeline) -> Largest:
    """Looks at every record and every row."""
    by_topic: dict[str, int] = {}
    for (topic, _), log in pipeline.logs.items():
        by_topic[topic] = max(by_topic.get(topic, 0), *(len(record.value or b"") for record in log), 0)
    row = max(len(value) for store in pipeline.stores.values() for value in store.data.values())
    return Largest(
        by_topic.get(ITEMS.name, 0), by_topic.get(THREAD_ALIAS.name, 0), max(by_topic.values()), row
    )


def publish_thread(
    pipeline: MemoryPipeline, links: Links, count: int, name: str = "thread", page: int = 100
) -> None:
    """A thread in the mailbox of that name."""
    for start in range(0, count, page):
        numbers = range(start, min(start + page, count))
        mails = [(f"{name}-{number}", letter(number, links(number), name)) for number in numbers]
        pipeline.publish_mail(f"box-{name}", "m1", mails)


@pytest.mark.parametrize(
    ("links", "count", "page"),
    [
        (star, 2_000, 100),
        (chain, 2_000, 100),
        (whole_chain, 300, 10),
        (bare_chain, 300, 100),
        pytest.param(star, 50_000, 100, marks=MORE),
        pytest.param(chain, 50_000, 100, marks=MORE),
        pytest.param(whole_chain, 1_200, 10, marks=MORE),
        pytest.param(bare_chain, 5_000, 100, marks=MORE),
    ],
)
def test_nothing_grows_with_a_thread(links: Links, count: int, page: int) -> None:
    """What is published and kept of each message and each key is small, however long the thread is."""
    pipeline = MemoryPipeline(seed=1)
    publish_thread(pipeline, links, count, page=page)
    pipeline.run()
    assert [len(thread) for thread in pipeline.threads()] == [count]
    largest = measure(pipeline)
    assert max(largest.item, largest.alias, largest.row) < SMALL
    assert largest.record < MAX_MESSAGE_BYTES // 2


@pytest.mark.parametrize(
    ("links", "count"),
    [
        (star, 1_000),
        (chain, 1_000),
        (bare_chain, 200),
        pytest.param(star, 50_000, marks=MORE),
        pytest.param(chain, 50_000, marks=MORE),
        pytest.param(bare_chain, 5_000, marks=MORE),
    ],
)
def test_joining_two_threads_writes_nothing_per_message(links: Links, count: int) -> None:
    """One late mail that names both: it is an item itself, and each thread key gets one small record at most."""
    pipeline = MemoryPipeline(seed=2)
    for name in ("one", "other"):
        publish_thread(pipeline, links, count, name)
    pipeline.run()
    assert [len(thread) for thread in pipeline.threads()] == [count, count]
    before = {place: len(log) for place, log in pipeline.logs.items()}
    references = f"<{_id('one', count // 2)}>\n <{_id('other', count - 1)}>"
    pipeline.publish_mail(
        "box-late",
        "m2",
        [("late", letter(count, name="late", more={"References": references}))],
        lane=Lane.LIVE,
    )
    pipeline.run()
    assert [len(thread) for thread in pipeline.threads()] == [2 * count + 1]
    written = {place: log[before.get(place, 0) :] for place, log in pipeline.logs.items()}

    def records(*names: str) -> Iterator[bytes]:
        for (topic, _), log in written.items():
            if topic in names:
                yield from (record.value or b"" for record in log)

    keys = 2 * len({tuple(links(number))[:1] for number in range(count)}) + 2
    assert len(list(records(ITEMS.name))) == 1
    aliases = list(records(THREAD_ALIAS.name))
    assert len(aliases) <= keys
    assert max(map(len, aliases)) < SMALL
    passed_on = sum(map(len, records(*(topic.name for topic in ROUTED.values()))))
    assert passed_on < 3 * SMALL * keys


# --- crowds -------------------------------------------------------------------------------------------------------


def addresses(count: int, start: int = 0) -> list[str]:
    """So many addresses of customers, with names."""
    return [
        f"Recipient Number {n} <recipient-{n}@kund-{n % 500}.example>" for n in range(start, start + count)
    ]


def test_a_mail_to_thousands_fits_all_records() -> None:
    """5,000 recipients, and other 5,000 in each of four mailboxes' copies: cut where a record ends, counted in whole."""
    pipeline = MemoryPipeline(seed=3)
    pipeline.publish_entries(everybody_known(5_000))
    pipeline.run()
    for box in range(4):
        recipients = ",\n ".join(addresses(5_000, 5_000 * box))
        pipeline.publish_mail(
            f"box-{box}",
            "m1",
            [("it", letter(1, more={"From": "anna@acme.example", "To": recipients}))],
            provider="microsoft",
        )
    pipeline.run()
    [(item, body)] = pipeline.items().values()
    assert pipeline.dead() == []
    assert body is not None
    assert len(body["people"]) > 3_000
    assert len(item["contacts"]) == 5_000
    assert measure(pipeline).record < MAX_MESSAGE_BYTES
    assert measure(pipeline).row < MAX_MESSAGE_BYTES // 2


def address(value: str) -> Entry:
    """An address or domain that was always known."""
    return {"value": value, "valid_from": None, "valid_to": None, "recorded_at": 0, "ended_at": None}


def everybody_known(contacts: int) -> list[DirectoryEntry]:
    """A directory in which so many recipients are contacts."""
    known = (f"recipient-{n}@kund-{n % 500}.example" for n in range(contacts))
    return [
        entry("member", "m1", addresses=[address("anna@acme.example")]),
        *(entry("customer", f"c{n}", domains=[address(f"kund-{n}.example")]) for n in range(500)),
        *(
            entry("contact", f"p{n}", customer=f"c{n % 500}", addresses=[address(a)])
            for n, a in enumerate(known)
        ),
    ]


@pytest.mark.parametrize("boxes", [300, pytest.param(2_000, marks=MORE)])
def test_one_mail_in_every_mailbox_is_one_item_that_fits(boxes: int) -> None:
    """However many copies there are, and whichever way they come together, the one item names as many as fit."""
    pipeline = MemoryPipeline(seed=4)
    members = [entry("member", f"m{box}") for box in range(boxes)]
    writer = entry("contact", "p1", customer="c1", addresses=[address("writer-1@kund.example")])
    pipeline.publish_entries([*members, entry("customer", "c1"), writer])
    pipeline.run()
    for box in range(boxes):
        pipeline.publish_mail(f"box-{box}", f"m{box}", [("it", letter(1))])
    pipeline.run()
    [(item, body)] = pipeline.items().values()
    assert body is not None
    assert len(body["copies"]) == boxes
    assert len(item["members"]) == boxes
    largest = measure(pipeline)
    assert largest.row < SMALL
    assert largest.record < MAX_MESSAGE_BYTES // 2


@pytest.mark.parametrize("mails", [400, pytest.param(20_000, marks=MORE)])
@pytest.mark.parametrize("list_post", ["", "<mailto:writer-1@kund.example>"])
def test_a_flood_of_mails_under_one_id_is_as_many_items(mails: int, list_post: str) -> None:
    """A program that gives all its mails one Message-ID, also over a list that hides some authors."""
    pipeline = MemoryPipeline(seed=5)
    constant = f"<{_id('constant', 0)}>"
    for start in range(0, mails, 100):
        numbers = range(start, min(start + 100, mails))
        said = {"Message-ID": constant, "List-Post": list_post}
        pipeline.publish_mail("box", "m1", [(f"mail-{n}", letter(n, more=said)) for n in numbers])
    pipeline.run()
    hidden = len([n for n in range(mails) if list_post and n % 50 == 1])
    assert sum(body is not None for _, body in pipeline.items().values()) == mails - hidden
    largest = measure(pipeline)
    assert largest.row < SMALL
    assert largest.record < MAX_MESSAGE_BYTES // 2
