"""The same mails and directory give the same items, threads and decisions, whatever happens on the way."""

from __future__ import annotations

import json
import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from memory_pipeline import TENANT, MemoryPipeline, change_of, mail
from rapport_processors.directory import Directory
from rapport_processors.mail.messages import group
from rapport_processors.mail.parse import ParsedMail, parse_mail
from rapport_processors.matching import decide
from rapport_schemas.records import Copy, DirectoryEntry, MailFields
from rapport_schemas.topics import Lane
from rapport_schemas.wire import blank

PEOPLE = ["ann@acme.com", "bob@acme.com", "x@kund.se", "y@kund.se", "z@stranger.example"]
OWNERS = {"m1": "ann@acme.com", "m2": "bob@acme.com"}


def entry(kind: str, id_: str, **fields: Any) -> DirectoryEntry:
    made: Any = {
        **blank("directory_entry"),
        "tenant": TENANT,
        "kind": kind,
        "id": id_,
        "name": id_,
        "recorded_at": 1,
        **fields,
    }
    found: DirectoryEntry = made
    return found


def known(value: str) -> dict[str, Any]:
    return {"value": value, "valid_from": None, "valid_to": None, "recorded_at": 1, "ended_at": None}


DIRECTORY: list[DirectoryEntry] = [
    entry("tenant", TENANT, settings=json.dumps({"timezone": "Europe/Stockholm", "settings": {}})),
    *(entry("member", id_, addresses=[known(address)]) for id_, address in OWNERS.items()),
    entry("customer", "c1", domains=[known("kund.se")]),
    entry("contact", "p1", customer="c1", addresses=[known("x@kund.se")]),
    entry("exclusion", "e1", addresses=[known("y@kund.se")]),
]

ids = st.integers(0, 8)
mails = st.lists(
    st.tuples(
        ids,  # message id
        st.lists(ids, max_size=3),  # references
        st.sampled_from(PEOPLE),  # author
        st.sampled_from(PEOPLE),  # recipient
        st.integers(0, 3),  # minute of the date; 0: none
        st.sampled_from(sorted(OWNERS)),  # whose mailbox
    ),
    min_size=1,
    max_size=8,
)


def fields(spec: tuple[int, list[int], str, str, int, str]) -> MailFields:
    id_, references, author, recipient, minute, _ = spec
    lines = [f"Message-ID: <number-{id_}@x.example>", f"From: {author}", f"To: {recipient}", "Subject: Hej"]
    if references:
        lines.append("References: " + " ".join(f"<number-{other}@x.example>" for other in references))
    if minute:
        lines.append(f"Date: Mon, 5 Jan 2026 10:{minute * 3:02d}:00 +0000")
    return mail("\n".join(lines) + "\n")


def outcome(pipeline: MemoryPipeline) -> Any:
    """Everything that may be seen: items by id without their sealed bytes, and threads by their members."""
    seen = {}
    aliases = pipeline.aliases()
    for item_id, (item, body) in pipeline.items().items():
        if body is None:
            continue
        shown = {
            **item,
            "thread_key": aliases.get(item["thread_key"], item["thread_key"]),
            "sealed": b"",
            "assignment": 0,
            "origin": None,
        }
        seen[item_id] = (
            shown,
            {**body, "copies": sorted(body["copies"]), "people": sorted(map(str, body["people"]))},
        )
    return seen


def run(
    specs: list[tuple[int, list[int], str, str, int, str]],
    *,
    seed: int,
    partitions: int,
    crash_rate: float,
    duplicates: int,
    directory_first: bool,
) -> MemoryPipeline:
    """Publishes the mails in an order of the seed's choice, in one lane or the other, and runs to the end."""
    pipeline = MemoryPipeline(partitions=partitions, seed=seed, crash_rate=crash_rate)
    order = [index for index in range(len(specs)) for _ in range(1 + duplicates)]
    shuffled = random.Random(seed)
    shuffled.shuffle(order)
    if directory_first:
        pipeline.publish_entries(DIRECTORY)
    for count, index in enumerate(order):
        member = specs[index][5]
        lane = shuffled.choice(list(Lane))
        pipeline.publish_mail(f"box-{member}", member, [(f"id-{index}", fields(specs[index]))], lane=lane)
        if count % 3 == 0:
            pipeline.step()
    if not directory_first:
        for change in shuffled.sample(DIRECTORY, len(DIRECTORY)):
            pipeline.publish_entries([change])
            for _ in range(shuffled.randrange(12)):
                pipeline.step()
    pipeline.run()
    return pipeline


def oracle(specs: list[tuple[int, list[int], str, str, int, str]]) -> Any:
    """The decisions and threads straight from the copies and the whole directory, without any pipeline."""
    directory = Directory()
    for offset, one in enumerate(DIRECTORY):
        directory.apply(one, offset)
    copies = []
    threads: list[set[str]] = []
    for index, spec in enumerate(specs):
        parsed = parse_mail(fields(spec))
        copies.append(copy_of(index, spec[5], parsed))
        joined = set(parsed.links)
        apart = [thread for thread in threads if not thread & joined]
        threads = [*apart, joined.union(*(thread for thread in threads if thread & joined))]
    decided = []
    for message in group(copies):
        decision = decide(message, directory.tenant(TENANT))
        who = (decision.members, decision.customers, decision.contacts, decision.author_members)
        thread = next(index for index, thread in enumerate(threads) if message.message_id in thread)
        decided.append((message.message_id, message.author, message.at_ms, decision.rule, who, thread))
    return sorted(decided, key=repr), len({thread for *_, thread in decided})


def copy_of(index: int, member: str, parsed: ParsedMail) -> Copy:
    place = {"topic": "", "partition": 0, "offset": 0, "index": index}
    return {
        "key": f"box-{member}/{index}",
        "connection": f"box-{member}",
        "member": member,
        "id": b"",
        "version": 1,
        "gone": "",
        "message": {**parsed.message, "thread_key": b"", "fetched_at": index, "origin": place},  # type: ignore[typeddict-item]
    }


def seen(pipeline: MemoryPipeline) -> Any:
    """What the oracle says, as the pipeline says it."""
    decided, threads = [], set()
    aliases = pipeline.aliases()
    for item, body in pipeline.items().values():
        if body is not None:
            who = tuple(
                map(tuple, (item["members"], item["customers"], item["contacts"], item["author_members"]))
            )
            decided.append((body["message_id"], body["author"], item["at"], item["rule"], who))
            threads.add(aliases.get(item["thread_key"], item["thread_key"]))
    return sorted(decided, key=repr), len(threads)


@settings(deadline=None, max_examples=40)
@given(mails, st.integers(0, 2**32), st.sampled_from([1, 3, 8]), st.booleans(), st.integers(0, 1))
def test_order_duplicates_partitions_and_crashes_change_nothing(
    specs: list[Any], seed: int, partitions: int, directory_first: bool, duplicates: int
) -> None:
    """One calm run in order equals a shuffled, duplicated, crashing one over other partitions."""
    calm = run(specs, seed=0, partitions=8, crash_rate=0, duplicates=0, directory_first=True)
    wild = run(
        specs,
        seed=seed,
        partitions=partitions,
        crash_rate=0.25,
        duplicates=duplicates,
        directory_first=directory_first,
    )
    assert outcome(wild) == outcome(calm)
    assert wild.dead() == calm.dead() == []
    expected, threads = oracle(specs)
    assert seen(calm) == ([entry[:-1] for entry in expected], threads)


@settings(deadline=None, max_examples=25)
@given(mails, st.integers(0, 2**32), st.sampled_from([1, 3, 8]))
def test_a_mark_leaves_only_when_everything_before_it_is_published(
    specs: list[Any], seed: int, partitions: int
) -> None:
    """When the last partition lets a mark go, items and threads are already what they are at the end."""
    pipeline = MemoryPipeline(partitions=partitions, seed=seed, crash_rate=0.1)
    pipeline.publish_entries(DIRECTORY)
    for index, spec in enumerate(specs):
        pipeline.publish_mail(f"box-{spec[5]}", spec[5], [(f"id-{index}", fields(spec))])
    pipeline.publish_mark("mark-1")
    while pipeline.marks_left().get("mark-1", 0) < partitions:
        assert pipeline.step(), "everything is done and the mark has not left"
    at_mark = outcome(pipeline)
    pipeline.run()
    assert outcome(pipeline) == at_mark


words = st.lists(
    st.tuples(st.booleans(), st.sampled_from(["inbox", "archive"]), st.sampled_from(list(Lane))),
    min_size=1,
    max_size=8,
)


@settings(deadline=None, max_examples=60)
@given(words, st.integers(0, 2**32))
def test_the_newest_word_of_each_stream_counts(said: list[tuple[bool, str, Lane]], seed: int) -> None:
    """One mail, upserted and removed in two streams and lanes: fetch numbers decide, whatever order the pages come in.

    Fields come from the highest upsert. With `drop` the item lives while the newest word of some stream shows it;
    changing the setting there and back decides the stored mail again.
    """
    pipeline = MemoryPipeline(seed=seed, crash_rate=0.2)
    pipeline.publish_entries(DIRECTORY)
    order = list(enumerate(said))
    random.Random(seed).shuffle(order)
    for fetch, (shown, stream, lane) in order:
        change = mail(
            f"Message-ID: <number-1@x.example>\nFrom: {PEOPLE[2]}\nSubject: word {fetch}\n", conversation="c"
        )
        one = change_of("id", change if shown else None)
        pipeline.publish_changes("box", "m1", [one], lane=lane, stream=stream, provider="graph", fetch=fetch)
        pipeline.step()
    pipeline.run()
    upserts = [fetch for fetch, (shown, _, _) in enumerate(said) if shown]
    is_shown = any({stream: shown for shown, stream, _ in said}.values())
    for mail_removed in ("drop", "keep", "drop"):
        text = json.dumps({"timezone": "UTC", "settings": {"mail_removed": mail_removed}})
        pipeline.publish_entries([entry("tenant", TENANT, settings=text)])
        pipeline.run()
        counted = upserts and (mail_removed == "keep" or is_shown)
        subjects = [body["subject"] for _, body in pipeline.items().values() if body]
        assert subjects == ([f"word {upserts[-1]}"] if counted else [])
    assert pipeline.dead() == []


def test_unreadable_mail_is_a_dead_letter_and_the_rest_of_its_page_goes_on() -> None:
    """A page with one mail that has no header at all still gives its other items."""
    pipeline = MemoryPipeline()
    good = fields((1, [], PEOPLE[0], PEOPLE[2], 1, "m1"))
    pipeline.publish_entries(DIRECTORY)
    pipeline.publish_mail("box", "m1", [("bad", mail(b"\x00\xff")), ("good", good)])
    pipeline.run()
    assert pipeline.dead() == ["no_headers"]
    assert len(outcome(pipeline)) == 1


def test_a_page_with_an_unknown_key_is_a_dead_letter() -> None:
    """One page that no key opens stops neither its partition nor anything else."""
    pipeline = MemoryPipeline()
    pipeline.publish_mail("box", "m1", [("a", fields((1, [], PEOPLE[0], PEOPLE[2], 1, "m1")))])
    pipeline.keys.forget()
    pipeline.run()
    assert pipeline.dead() == ["unknown_key"]


def test_pages_of_a_destroyed_key_are_skipped() -> None:
    """What was sealed under a destroyed key gives no item and is no error."""
    pipeline = MemoryPipeline()
    pipeline.publish_mail("box", "m1", [("a", fields((1, [], PEOPLE[0], PEOPLE[2], 1, "m1")))])
    pipeline.keys.destroy(pipeline.keys.new_page_key(TENANT, "box"))
    pipeline.run()
    assert outcome(pipeline) == {}
    assert pipeline.dead() == []
