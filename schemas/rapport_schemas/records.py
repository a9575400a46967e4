"""The records of the Avro schemas as types: what a decoded value is. A test holds them equal to the schemas."""

from __future__ import annotations

from typing import TypedDict


class Mark(TypedDict):
    """A mark that a waiting command follows through the pipeline."""

    id: str
    tenant: str
    round: int
    source: str
    dirty: bool


class Page(TypedDict):
    """One page of one stream of one connection, or a control record of it."""

    tenant: str
    connection: str
    member: str
    provider: str
    stream: str
    type: str
    fetch: int
    published_at: int
    count: int
    key_id: str
    sealed: bytes
    listing: str | None
    range_from: int | None
    range_to: int | None
    mark: Mark | None


class MimePart(TypedDict):
    """One node of the MIME tree, depth first."""

    type: str
    filename: str
    parameters: str


class MailPerson(TypedDict):
    """One mention of one address, as the provider has it."""

    role: str
    name: str
    address: str


class MailStructure(TypedDict):
    """What a provider says of a mail in fields instead of headers. It wins over what the header block repeats."""

    message_id: str
    subject: str
    sent: int | None
    people: list[MailPerson]
    invitation: bool


class MailFields(TypedDict):
    """One mail as the provider holds it; bodies stay there."""

    headers: bytes
    mime: list[MimePart]
    preview: str
    size: int
    provider_time: int | None
    folder: str
    labels: list[str]
    conversation: str
    structured: MailStructure | None


class EventAttendee(TypedDict):
    """One attendee as the calendar names it."""

    address: str
    name: str
    kind: str
    role: str
    response: str


class EventFields(TypedDict):
    """One occurrence as one calendar holds it, complete. Times are dates, local times, or UTC with a Z."""

    uid: str
    original_start: str
    series: str
    start: str
    end: str
    status: str
    kind: str
    title: str
    location: str
    preview: str
    organizer: str
    organizer_name: str
    attendees: list[EventAttendee]
    owner_response: str
    owner_organizes: bool
    visibility: str
    sequence: int | None
    updated: int | None


class Change(TypedDict):
    """One change of a page."""

    op: str
    provider_id: str
    mail: MailFields | None
    event: EventFields | None
    at: int | None
    fields: list[str]


class PageBody(TypedDict):
    """What is sealed in a page."""

    changes: list[Change]


class DirectoryNotice(TypedDict):
    """The directory changed up to an offset."""

    offset: int
    tenant: str
    entries: list[str]
    terms: list[bytes]
    customers: list[str]
    contacts: list[str]
    basis: bool
    whole: bool


class Routed(TypedDict):
    """A batch of work for one partition of weave."""

    tenant: str
    gen: int
    assignment: int
    source: str
    sealed: bytes
    notice: DirectoryNotice | None
    mark: Mark | None


class Person(TypedDict):
    """One mention of one address."""

    role: str
    address: str
    name: str


class Origin(TypedDict):
    """Where in the raw log a copy was read."""

    topic: str
    partition: int
    offset: int
    index: int


class MessageContent(TypedDict):
    """What a mail says, parsed."""

    message_id: str
    fallback_id: str
    header_id: str
    author: str
    author_name: str
    author_hidden: bool
    date: int | None
    provider_time: int | None
    mail_class: str
    sent: bool
    subject: str
    base_subject: str
    preview: str
    people: list[Person]


class CopyMessage(MessageContent):
    """A mail copy, parsed: pure content, nothing decided."""

    thread_key: bytes
    fetched_at: int
    origin: Origin


class Attendee(TypedDict):
    """One attendee, parsed."""

    role: str
    address: str
    name: str
    response: str


class MeetingContent(TypedDict):
    """What an event says, parsed."""

    uid: str
    original_start: str
    start: str
    end: str
    cancelled: bool
    kind: str
    title: str
    location: str
    preview: str
    private: bool
    organizer: str
    organizer_name: str
    attendees: list[Attendee]
    owner_response: str
    owner_organizes: bool
    sequence: int | None
    updated: int | None


class CopyMeeting(MeetingContent):
    """A calendar copy, parsed: pure content, nothing decided."""

    series_key: bytes
    fetched_at: int
    origin: Origin


class Copy(TypedDict):
    """One copy of a message or a meeting, or that it is no longer held."""

    key: str
    connection: str
    member: str
    id: bytes
    version: int
    gone: str
    message: CopyMessage | None
    meeting: CopyMeeting | None
    gone_at: int | None


class Claim(TypedDict):
    """An id is mentioned under a thread key."""

    id: bytes
    key: bytes
    arm: bool


class KeyPair(TypedDict):
    """Two thread keys joined, or a key and a smaller label for it."""

    key: bytes
    other: bytes


class PackedCopy(TypedDict):
    """A copy that is stored as it came."""

    id: bytes
    row: bytes
    version: int
    copy: bytes
    kept: bool


class Residue(TypedDict):
    """What one connection's erased copies leave of an item whose counts are kept."""

    id: bytes
    item: str
    connection: bytes
    member: str
    version: int
    kind: str
    at: int | None
    ends: int | None
    thread_key: bytes
    mail_class: str
    cancelled: bool
    ambiguous: bool
    members: list[str]
    customers: list[str]
    contacts: list[str]
    author_members: list[str]
    author_customers: list[str]
    author_contacts: list[str]
    declined: list[str]
    author: bytes
    first: int | None
    last: int | None
    sequence: int
    updated: int


class Residues(TypedDict):
    """What is left of items of an erased connection."""

    residues: list[Residue]


class RoutedBody(TypedDict):
    """What is sealed in a routed record."""

    copies: list[Copy]
    claims: list[Claim]
    joins: list[KeyPair]
    labels: list[KeyPair]
    redecide: list[bytes]
    packed: list[PackedCopy]
    residues: list[bytes]


class Item(TypedDict):
    """One item as decided; the newest record of its key is the truth."""

    tenant: str
    gen: int
    item_id: str
    kind: str
    at: int | None
    thread_key: str
    mail_class: str
    synced: bool
    rule: str
    author_members: list[str]
    author_customers: list[str]
    author_contacts: list[str]
    members: list[str]
    customers: list[str]
    contacts: list[str]
    ambiguous: bool
    deleted: bool
    redirect: str | None
    assignment: int
    origin: Origin | None
    id_hashes: list[bytes]
    address_hashes: list[bytes]
    sealed: bytes
    mark: Mark | None
    ends: int | None
    cancelled: bool
    declined_members: list[str]
    strangers: list[Stranger]


class Stranger(TypedDict):
    """An external address that matches nothing, by its keyed hashes, and sealed."""

    address: bytes
    domain: bytes
    sealed: bytes


class ItemBody(TypedDict):
    """What is sealed in an item: everything a person could read."""

    message_id: str
    subject: str
    preview: str
    author: str
    author_name: str
    people: list[Person]
    copies: list[str]
    reason: str
    location: str
    answers: list[str]
    all_day: bool
    private: bool
    series: str
    holders: list[str]


class ThreadAlias(TypedDict):
    """A thread key and the smaller key that names its thread."""

    tenant: str
    gen: int
    key: str
    label: str
    assignment: int
    mark: Mark | None


class Entry(TypedDict):
    """One address or domain with its validity."""

    value: str
    valid_from: int | None
    valid_to: int | None
    recorded_at: int
    ended_at: int | None


class DirectoryEntry(TypedDict):
    """One tenant, member, customer, contact, exclusion, choice or connection."""

    tenant: str
    kind: str
    id: str
    name: str
    customer: str
    addresses: list[Entry]
    domains: list[Entry]
    member: str
    contact: str
    settings: str
    recorded_at: int
    deleted: bool
    mark: Mark | None
    former: list[bytes]


class Cursor(TypedDict):
    """How far a stream was read; saved after the broker confirmed every page before it."""

    tenant: str
    connection: str
    stream: str
    fetch: int
    key_id: str
    sealed: bytes
    updated_at: int


class Connection(TypedDict):
    """One member's mailbox or calendar at one provider."""

    tenant: str
    connection: str
    member: str
    provider: str
    state: str
    settings: str
    last_sync: int | None
    oldest: int | None
    updated_at: int
    account: str
    access: str
    scopes: list[str]
    reason: str
    epoch: int
    history_from: int | None
    first_total: int
    first_done: int
    first_ended: int | None
    backlog: int
    last_sweep: int | None
    push: str
    out_of_office: OutOfOffice | None


class OutOfOffice(TypedDict):
    """Automatic replies of the member."""

    status: str
    since: int | None
    until: int | None
    audience: str


class Wakeup(TypedDict):
    """Somebody has reason to look at a connection now. It says nothing that would be relied on."""

    tenant: str
    connection: str
    kind: str
    detail: str
    subscription: str
    at: int


class CoveredDay(TypedDict):
    """The items of one day."""

    day: str
    listed: int
    present: int


class Coverage(TypedDict):
    """What a finished listing of one stream found of it here."""

    tenant: str
    connection: str
    stream: str
    listing: str
    at: int
    range_from: int | None
    range_to: int | None
    days: list[CoveredDay]


class DeadLetter(TypedDict):
    """Something that could not be processed: origin and reason, never content."""

    id: str
    tenant: str
    connection: str
    stage: str
    origin: str
    reason: str
    detail: str
    at: int
    state: str


class StateChange(TypedDict):
    """One row."""

    key: bytes
    value: bytes | None


class Changelog(TypedDict):
    """One batch of state changes of one partition of one stage."""

    assignment: int
    changes: list[StateChange]
    rows: bytes


class Shown(TypedDict):
    """What one stream says of an item."""

    stream: bytes
    fetch: int
    present: bool
    excluded: str
    at: int | None


class Part(TypedDict):
    """One field that came by itself."""

    name: str
    fetch: int


class Holding(TypedDict):
    """State of route: one item as one connection holds it."""

    revision: int
    fetch: int
    digest: bytes
    id: bytes
    gone: str
    shown: list[Shown]
    fields: bytes | None
    time: int | None
    series: bytes
    gone_at: int | None
    assignment: int
    parts: list[Part]
    collected: int
    junked: int
    labelled: str
    fetched_at: int | None
    origin: Origin | None
    row: bytes
