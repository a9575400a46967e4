"""A small directory in which nearly everything collides, and what a busy office does to it, record by record.

Everything is drawn from a seed: addresses with tags and dots, domains below one another, entries that begin and end, subjects that go and
come back. Each record says what it had before and has no more, as the commands write it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Any, Final, TypeVar

from directory_entries import NOON, RECORDED, at, chosen, connection, entry, excluded, tenant
from memory_keys import MemoryKeyRing
from memory_pipeline import TENANT
from rapport.directory import merge
from rapport.directory.records import key_of
from rapport_processors.directory_settings import OVERRIDABLE
from rapport_schemas.records import DirectoryEntry, Entry

T = TypeVar("T")
Key = tuple[str, str]

INSIDE: Final = (
    "anna@acme.com",
    "anna+x@acme.com",
    "bo@acme.com",
    "help@acme.com",
    "bo@labs.acme.com",
    "bo@gmail.com",
    "ops@intranet",
)
OUTSIDE: Final = (
    "x@kund.se",
    "x+news@kund.se",
    "y@kund.se",
    "y@eu.kund.se",
    "z@eu.kund.se",
    "z@other.org",
    "q.r@gmail.com",
    "qr+a@gmail.com",
    "w@notkund.se",
    "v@corp.gmx.de",
    "it@intranet",
)
OWN: Final = ("acme.com", "labs.acme.com", "kund.se", "eu.kund.se")
DOMAINS: Final = ("kund.se", "eu.kund.se", "other.org", "corp.gmx.de", "notkund.se", "acme.com")
MEMBERS: Final = ("m1", "m2", "m3")
CUSTOMERS: Final = ("c", "d", "e")
CONTACTS: Final = ("o", "p", "q", "r")
CONNECTIONS: Final = ("mailbox-m1", "mailbox-m2", "cal-m1")
ZONES: Final = ("Europe/Stockholm", "UTC", "America/New_York")
CHOICES: Final[dict[str, tuple[Any, ...]]] = {
    "match_by": ("address", "domain"),
    "sync_unknown_sender": (False, True),
    "sync_unknown_organizer": (False, True),
    "owner_must_be_listed": (False, True),
    "count_list_delivery": (False, True),
    "contact_history": ("current", "as_of", {"grace_hours": 1}),
    "ambiguous": ("all", "oldest", "review"),
    "mail_removed": ("keep", "drop"),
    "private_meetings": ("count", "skip"),
    "counted_classes": (["human", "list"], ["human"]),
    "keep_days": (7, 30),
}
_NEAR_NOON: Final = (NOON - 7_200_000, NOON, NOON + 3_600_000)


HASH_KEY: Final = MemoryKeyRing().tenant_keys(TENANT).hash


def with_former(
    old: DirectoryEntry | None, new: DirectoryEntry, hash_key: bytes = HASH_KEY
) -> DirectoryEntry:
    """The record as commands publish it behind the one before it."""
    [published] = merge.with_former([new], {key_of(old): old} if old else {}, hash_key)
    return published


class ChangingDirectory:
    """The records as they are now; every method that changes them gives what has to be published.

    Args:
        bounds: times at which entries may begin or end.
    """

    def __init__(self, random: Random, bounds: Sequence[int] = _NEAR_NOON) -> None:
        self._random, self._bounds = random, bounds
        self._clock = RECORDED
        self._before: list[DirectoryEntry] = []
        self.records: dict[Key, DirectoryEntry] = {}
        self.zone = ZONES[0]
        self._settings: dict[str, Any] = {}

    def begin(self) -> list[DirectoryEntry]:
        """A first directory, in which something of every kind may be."""
        first = [self._put(self._tenant())]
        first += [self._put(self._member(id_)) for id_ in MEMBERS[:2]]
        first += [self._put(self._customer(id_)) for id_ in self._some(CUSTOMERS, 3)]
        first += [self._put(self._contact(id_)) for id_ in self._some(CONTACTS, 4)]
        first += [self._put(self._exclusion()) for _ in range(self._random.choice((0, 0, 1)))]
        first += [self._put(self._connection()) for _ in range(self._random.choice((0, 1)))]
        return first

    def change(self) -> DirectoryEntry:
        """One change of any kind."""
        make: Callable[[], DirectoryEntry] = self._random.choice(
            (
                self._tenant,
                self._setting,
                self._setting,
                lambda: self._member(self._random.choice(MEMBERS)),
                lambda: self._customer(self._random.choice(CUSTOMERS)),
                lambda: self._contact(self._random.choice(CONTACTS)),
                lambda: self._contact(self._random.choice(CONTACTS)),
                self._exclusion,
                self._connection,
                self._choice,
                self._deletion,
                self._deletion,
                self._return,
                self._end,
                self._again,
            )
        )
        return self._put(make())

    def now(self) -> list[DirectoryEntry]:
        """What is in the directory."""
        return [record for record in self.records.values() if not record["deleted"]]

    def back_to(self, before: Iterable[DirectoryEntry]) -> list[DirectoryEntry]:
        """The changes, in any order, after which the directory holds exactly this again."""
        wanted = {(record["kind"], record["id"]): record for record in before}
        changes = [self._gone(key) for key in self.records.keys() - wanted.keys()]
        changes += wanted.values()
        self._random.shuffle(changes)
        return [self._put(record) for record in changes]

    # -- drawing ------------------------------------------------------------------------------------------------

    def _put(self, record: DirectoryEntry) -> DirectoryEntry:
        self._clock += 1
        key = record["kind"], record["id"]
        old = self.records.get(key)
        made = with_former(old, {**record, "recorded_at": self._clock})
        self._before.append(made)
        self.records[key] = made
        return made

    def _some(self, values: Sequence[T], most: int) -> list[T]:
        return self._random.sample(values, self._random.randint(most // 2, most))

    def _entry(self, value: str) -> Entry:
        recorded = self._random.randint(0, 3)
        if self._random.random() < 0.7:
            return at(value, recorded=recorded)
        since, until = (self._random.choice((None, None, *self._bounds)) for _ in range(2))
        if since is not None and until is not None and until <= since:
            until = None
        ended = self._clock if self._random.random() < 0.15 else None
        return at(value, since, until, recorded=recorded, ended=ended)

    def _entries(self, values: Sequence[str], most: int) -> list[Entry]:
        return [self._entry(value) for value in self._some(values, most)]

    def _tenant(self) -> DirectoryEntry:
        if self._random.random() < 0.3:
            self.zone = self._random.choice(ZONES)
        return tenant(*self._entries(OWN, 2), timezone=self.zone, **self._settings)

    def _setting(self) -> DirectoryEntry:
        """The tenant's record as it is, but for one setting."""
        name = self._random.choice(list(CHOICES))
        self._settings = {**self._settings, name: self._random.choice(CHOICES[name])}
        domains = self.records["tenant", TENANT]["domains"]
        return tenant(*domains, timezone=self.zone, **self._settings)

    def _member(self, id_: str) -> DirectoryEntry:
        """No two members have one address: the commands refuse that."""
        name = self._random.choice(("", "Anna", "Bo"))
        free = [address for address in (*INSIDE, OUTSIDE[5]) if address not in self._taken(id_)]
        return entry("member", id_, *self._entries(free, min(3, len(free))), name=name)

    def _taken(self, id_: str) -> set[str]:
        others = (
            record for (kind, other), record in self.records.items() if kind == "member" and other != id_
        )
        return {one["value"] for record in others for one in record["addresses"]}

    def _customer(self, id_: str) -> DirectoryEntry:
        return entry("customer", id_, *self._entries(DOMAINS, 3))

    def _contact(self, id_: str) -> DirectoryEntry:
        customer = self._random.choice((*CUSTOMERS, ""))
        return entry("contact", id_, *self._entries((*OUTSIDE, INSIDE[3]), 4), customer=customer)

    def _exclusion(self) -> DirectoryEntry:
        pick = self._random.choice
        return pick(
            [
                excluded(address=self._entry(pick((*INSIDE, *OUTSIDE)))),
                excluded(domain=self._entry(pick((*DOMAINS[:3], "labs.acme.com")))),
                excluded(pair=(pick(MEMBERS), pick(CONTACTS))),
            ]
        )

    def _connection(self) -> DirectoryEntry:
        names = [name for name in CHOICES if name in OVERRIDABLE and self._random.random() < 0.5]
        own = {name: self._random.choice(CHOICES[name]) for name in names}
        return connection(self._random.choice(CONNECTIONS), **own)

    def _choice(self) -> DirectoryEntry:
        pick = self._random.choice
        value, who = pick([(pick(OUTSIDE), pick(CONTACTS)), (pick(DOMAINS), pick(CUSTOMERS))])
        return chosen(self._entry(value), who)

    # -- what happens to what is there --------------------------------------------------------------------------

    def _gone(self, key: Key) -> DirectoryEntry:
        """A deletion says what it was by its key, and whom it named."""
        old = self.records[key]
        named = {name: old[name] for name in ("customer", "member", "contact")}
        return entry(*key, deleted=True, **named)

    def _deletion(self) -> DirectoryEntry:
        kinds = ("member", "customer", "contact", "exclusion", "connection", "choice")
        there = [key for key, record in self.records.items() if key[0] in kinds and not record["deleted"]]
        return self._gone(self._random.choice(there)) if there else self._again()

    def _return(self) -> DirectoryEntry:
        """Something is again what it once was."""
        back = self._random.choice(self._before)
        addresses = {one["value"] for one in back["addresses"]}
        clashes = back["kind"] == "member" and addresses & self._taken(back["id"])
        return self._again() if back["kind"] == "tenant" or clashes else back

    def _end(self) -> DirectoryEntry:
        """The end of an entry is recorded."""
        open_ = [
            (record, field, index)
            for record in self.now()
            for field in ("addresses", "domains")
            for index, one in enumerate(record[field])
            if one["ended_at"] is None
        ]
        if not open_:
            return self._again()
        record, field, index = self._random.choice(open_)
        entries: list[Entry] = list(record[field])  # type: ignore[literal-required]
        entries[index] = {**entries[index], "ended_at": self._clock}
        return {**record, field: entries}  # type: ignore[misc]

    def _again(self) -> DirectoryEntry:
        """The same once more, at a later time: a bound may have been reached meanwhile."""
        return self._random.choice(list(self.records.values()))
