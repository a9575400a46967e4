"""Contract part 5 as small stories: each says what a rule means, and the oracle has to agree with every one."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import Any, Final

import pytest

from directory_entries import RECORDED, at, entry, tenant
from meeting_pages import (
    ZONE,
    assert_as_the_contract_says,
    attendee,
    company,
    day,
    day_ms,
    event,
    gone,
    meetings_in,
    publish,
    shown,
)
from memory_pipeline import MemoryPipeline
from naive_meetings import Meeting, Said, canonical_uid, moment
from rapport_schemas.records import Change, DirectoryEntry

XENA, STRANGER = "x@kund.se", "z@stranger.example"
LATEST = day(3, "10:00:00Z")


class Office:
    """Calendars of ann, bob and eve, told page by page; every answer is also asked of the oracle."""

    def __init__(self, timezone: str = ZONE, **settings: Any) -> None:
        self.pipeline = MemoryPipeline(partitions=3, seed=1)
        self.pages: list[Said] = []
        self.zone = timezone
        self.directory = company(timezone, **settings)
        self.pipeline.publish_entries(self.directory)

    def page(self, member: str, *changes: Change, at: float = -20, **fields: Any) -> None:
        """The next page of the member's calendar, published so many days from today."""
        fields.setdefault("connection", f"cal-{member}")
        fields.setdefault("fetch", len(self.pages) + 1)
        page = Said(
            **{
                "member": member,
                "stream": "primary",
                "published_at": day_ms(at),
                "changes": changes,
                **fields,
            }
        )
        self.pages.append(page)
        publish(self.pipeline, page)

    def listing(
        self, member: str, *changes: Change, at: float = -20, name: str = "l1", **fields: Any
    ) -> None:
        """A whole listing: begin, what it shows, end."""
        self.page(member, at=at, type="listing_begin", listing=name, **fields)
        if changes:
            self.page(member, *changes, at=at, listing=name)
        self.page(member, at=at, type="listing_end", listing=name)

    def change(self, *entries: DirectoryEntry, timezone: str | None = None) -> None:
        """New records of the directory."""
        self.zone = timezone or self.zone
        changed = {(record["kind"], record["id"]) for record in entries}
        self.directory = [r for r in self.directory if (r["kind"], r["id"]) not in changed] + list(entries)
        self.pipeline.publish_entries(entries)

    def meetings(self) -> list[Meeting]:
        """All meetings, by start."""
        self.pipeline.run()
        assert_as_the_contract_says(self.pipeline, self.pages, self.directory, self.zone)
        return sorted(meetings_in(self.pipeline), key=lambda meeting: (meeting.at, meeting.uid))

    def meeting(self) -> Meeting:
        """The only one."""
        [found] = self.meetings()
        return found

    def item_ids(self) -> set[str]:
        """The public ids of all meetings."""
        self.pipeline.run()
        return {id_ for id_, (_, body) in self.pipeline.items().items() if body is not None}


# -- identity ---------------------------------------------------------------------------------------------------

PUBLISHED = {
    # MS-OXOCAL 4.1.2: an exception of a series, moved from 25 to 26 March 2008.
    "040000008200E00074C5B7101A82E00807D803195025D461E473C8010000000000000000100000002A5844B3A444F74A9C246C60886F116B": (
        "040000008200E00074C5B7101A82E008000000005025D461E473C8010000000000000000100000002A5844B3A444F74A9C246C60886F116B"
    ),
    # MS-ASEMAIL 4.3, example 1.
    "040000008200E00074C5B7101A82E00807D40910E040C9C12685C4010000000000000000100000000BF0ED4B6E4EE94E9E39E3867B378EF3": (
        "040000008200E00074C5B7101A82E00800000000E040C9C12685C4010000000000000000100000000BF0ED4B6E4EE94E9E39E3867B378EF3"
    ),
    # MS-ASEMAIL 4.3, example 2.
    "040000008200E00074C5B7101A82E008000000000000000000000000000000000000000033000000"
    "7643616C2D556964010000007B38313431324433432D324132342D344539442D423230452D3131463742424539323739397D00": (
        "{81412D3C-2A24-4E9D-B20E-11F7BBE92799}"
    ),
}
"""Microsoft's published examples of GlobalObjectIds, and the UIDs they stand for."""


@pytest.mark.parametrize(("said", "meant"), PUBLISHED.items())
def test_a_global_object_id_is_decoded_as_microsoft_publishes(said: str, meant: str) -> None:
    """The instance's date goes, a foreign UID comes out of its envelope; case does not matter."""
    assert canonical_uid(said) == canonical_uid(said.lower()) == canonical_uid(meant) == meant
    office = Office()
    office.page("ann", shown("1", event(said, LATEST, XENA)))
    office.page("bob", shown("1", event(said.lower(), LATEST, XENA)))
    office.page("eve", shown("1", event(meant, LATEST, XENA)))
    assert office.meeting().uid == meant


@pytest.mark.parametrize(
    "uid",
    [
        "040000008200E00074C5B7101A82E008",
        "040000008200E00074C5B7101A82E00800000000XY",
        "abc@google.com",
        "Ü-1",
    ],
)
def test_any_other_uid_is_an_opaque_text(uid: str) -> None:
    """What is too short or no hexadecimal is no GlobalObjectId."""
    office = Office()
    office.page("ann", shown("1", event(uid, LATEST, XENA)))
    assert office.meeting().uid == uid == canonical_uid(uid)


def test_one_event_in_ten_calendars_is_one_meeting() -> None:
    """Ten connections show the same UID under ids of their own."""
    office = Office()
    for number in range(10):
        member = ("ann", "bob", "eve")[number % 3]
        one = event("u1", LATEST, XENA, organizer="ann@acme.com")
        office.page(member, shown(f"id-{number}", one), connection=f"cal-{number}")
    assert office.meeting().members == {"ann", "bob", "eve"}


def test_a_moved_single_meeting_keeps_its_identity() -> None:
    """The same UID at another time is the same meeting, there and nowhere else."""
    office = Office()
    office.page("ann", shown("1", event("u1", LATEST, XENA)))
    before = office.item_ids()
    office.page("ann", shown("1", event("u1", day(5, "12:00:00Z"), XENA, sequence=1)))
    assert office.meeting().at == moment(day(5, "12:00:00Z"), "UTC")
    assert office.item_ids() == before


def series(number: int, start: str, original: str = "", **fields: Any) -> Change:
    original = original or start
    what = event("s1", start, XENA, original_start=original, series="s1-in-this-calendar", **fields)
    return shown(f"s1-{number}", what)


def test_a_moved_occurrence_keeps_its_identity_and_the_others_stay() -> None:
    """An occurrence is known by its original start."""
    office = Office()
    days = [day(n, "10:00:00Z") for n in (1, 8, 15)]
    office.page("ann", *(series(number, start) for number, start in enumerate(days)))
    before = office.item_ids()
    assert len(before) == 3
    office.page("ann", series(1, day(9, "15:00:00Z"), days[1]))
    assert [m.at for m in office.meetings()] == [
        moment(start, "UTC") for start in (days[0], day(9, "15:00:00Z"), days[2])
    ]
    assert office.item_ids() == before


def test_occurrences_of_a_series_are_meetings_of_one_conversation() -> None:
    """Each is an item; the series is what they share, with nobody else."""
    office = Office()
    office.page(
        "ann", *(series(n, day(n, "10:00:00Z")) for n in (1, 8)), shown("2", event("u2", LATEST, XENA))
    )
    assert len(office.meetings()) == 3
    items = [
        (body["message_id"], item["thread_key"]) for item, body in office.pipeline.items().values() if body
    ]
    assert len(set(items)) == len({key for _, key in items}) == 2


def test_a_cancelled_occurrence_leaves_the_others() -> None:
    """The stub of a cancelled occurrence cancels one meeting."""
    office = Office()
    office.page("ann", *(series(n, day(n, "10:00:00Z")) for n in (1, 8)))
    office.page("ann", series(1, day(1, "10:00:00Z"), status="cancelled"))
    assert [meeting.cancelled for meeting in office.meetings()] == [True, False]


def test_an_event_without_uid_is_known_by_organizer_start_and_title() -> None:
    """The same three are one meeting, another title is another one."""
    office = Office()
    for member in ("ann", "bob"):
        office.page(member, shown("1", event("", LATEST, organizer=XENA)))
    office.page("eve", shown("1", event("", LATEST, organizer=XENA, title="Something else")))
    assert [meeting.members for meeting in sorted(office.meetings(), key=lambda m: m.title)] == [
        {"ann", "bob"},
        {"eve"},
    ]


def test_events_without_uid_and_without_organizer_are_their_owners() -> None:
    """Two people who have lunch at the same time do not meet."""
    office = Office()
    for member in ("ann", "bob"):
        office.page(member, shown("1", event("", LATEST, XENA, title="Lunch")))
    assert sorted(min(meeting.members) for meeting in office.meetings()) == ["ann", "bob"]


# -- state ------------------------------------------------------------------------------------------------------


def test_the_organizers_copy_beats_stale_copies() -> None:
    """Time, title and place are the organiser's; a copy of an earlier sequence says nothing of people."""
    office = Office()
    office.page(
        "bob",
        shown(
            "1", event("u1", LATEST, STRANGER, organizer="ann@acme.com", title="Old", sequence=1, updated=99)
        ),
    )
    new = event(
        "u1",
        day(4, "14:00:00Z"),
        XENA,
        organizer="Ann@ACME.com",
        title="New",
        location="Hall",
        sequence=2,
        updated=5,
    )
    office.page("ann", shown("1", new))
    meeting = office.meeting()
    assert (meeting.at, meeting.title, meeting.location) == (moment(new["start"], "UTC"), "New", "Hall")
    assert meeting.people == {("organizer", "ann@acme.com"), ("attendee", XENA)}
    assert meeting.members == {"ann", "bob"}


def test_the_organizers_copy_decides_even_where_another_one_is_newer() -> None:
    """Whoever organises says when it is; an invitation that somebody edited does not."""
    office = Office()
    office.page("ann", shown("1", event("u1", LATEST, XENA, owner_organizes=True, sequence=0, updated=1)))
    office.page("bob", shown("1", event("u1", day(4, "10:00:00Z"), XENA, organizer="x@kund.se", sequence=7)))
    assert office.meeting().at == moment(LATEST, "UTC")


@pytest.mark.parametrize(
    ("ann", "bob", "winner"),
    [
        ({"sequence": 2, "updated": 1}, {"sequence": 1, "updated": 9}, "ann"),
        ({"sequence": 1, "updated": 1}, {"sequence": 1, "updated": 9}, "bob"),
        ({"sequence": None, "updated": 9}, {"sequence": 1, "updated": 1}, "bob"),
        ({"sequence": None, "updated": 9}, {"sequence": 0, "updated": 1}, "ann"),
        ({"sequence": None, "updated": None}, {"sequence": None, "updated": 1}, "bob"),
    ],
)
def test_without_an_organizers_copy_the_newest_decides(
    ann: dict[str, Any], bob: dict[str, Any], winner: str
) -> None:
    """By sequence where given, then by the provider's update time."""
    office = Office()
    for member, version in (("ann", ann), ("bob", bob)):
        one = event("u1", LATEST, "ann@acme.com", "bob@acme.com", organizer=XENA, title=member, **version)
        office.page(member, shown("1", one))
    assert office.meeting().title == winner


def test_people_are_the_union_over_the_copies() -> None:
    """A guest list that one provider hides is read from the others."""
    office = Office()
    office.page("ann", shown("1", event("u1", LATEST, "ann@acme.com", organizer=XENA)))
    office.page(
        "bob", shown("1", event("u1", LATEST, attendee("Y@kund.se", role="optional"), organizer=XENA))
    )
    meeting = office.meeting()
    assert meeting.people == {("organizer", XENA), ("attendee", "ann@acme.com"), ("optional", "y@kund.se")}
    assert meeting.contacts == {"xena", "ypsi"}


def test_an_address_added_to_a_member_makes_its_copy_the_organizers() -> None:
    """The directory says whose copy decides, and says it backwards in time."""
    office = Office()
    office.page(
        "ann", shown("1", event("u1", LATEST, XENA, organizer="berg@elsewhere.example", title="Hers"))
    )
    office.page(
        "bob",
        shown("1", event("u1", LATEST, XENA, organizer="berg@elsewhere.example", title="His", sequence=1)),
    )
    assert (office.meeting().title, office.meeting().rule) == ("His", "unknown_organizer")
    office.change(entry("member", "ann", "ann@acme.com", "berg@elsewhere.example"))
    assert (office.meeting().title, office.meeting().rule) == ("Hers", "contact_address")


# -- times ------------------------------------------------------------------------------------------------------


def test_an_all_day_event_starts_at_midnight_in_the_tenants_zone() -> None:
    """Its end is exclusive, and both move when the zone is changed; so do local times."""
    office = Office("Europe/Stockholm")
    office.page(
        "ann",
        shown("1", event("u1", day(3), XENA)),
        shown("2", event("u2", day(4, "09:00:00"), XENA)),
        shown("3", event("u3", day(5, "09:00:00Z"), XENA)),
    )

    def hours() -> list[tuple[float, float]]:
        return [((m.at - day_ms(0)) / 3_600_000, (m.ends - m.at) / 3_600_000) for m in office.meetings()]

    assert hours() == [(3 * 24 - 2, 24), (4 * 24 + 7, 1), (5 * 24 + 9, 1)]
    assert [meeting.all_day for meeting in office.meetings()] == [True, False, False]
    office.change(tenant("acme.com", timezone="America/New_York"), timezone="America/New_York")
    assert hours() == [(3 * 24 + 4, 24), (4 * 24 + 13, 1), (5 * 24 + 9, 1)]


def test_a_whole_day_lasts_from_midnight_to_midnight_when_clocks_change() -> None:
    """The day on which summer time begins has 23 hours, the one on which it ends 25."""
    office = Office("Europe/Stockholm")
    office.page(
        "ann", shown("1", event("u1", "2026-03-29", XENA)), shown("2", event("u2", "2026-10-25", XENA))
    )
    assert [(m.ends - m.at) // 3_600_000 for m in office.meetings()] == [23, 25]


def test_a_deletion_is_before_an_all_day_event_by_the_tenants_midnight() -> None:
    """One hour before midnight in UTC is after midnight in Stockholm: the day had begun."""
    office = Office("Europe/Stockholm")
    office.page("ann", shown("1", event("u1", day(-3), XENA)))
    office.page("ann", gone("1", day_ms(-3) - 3_600_000))
    assert not office.meeting().cancelled
    office.change(tenant("acme.com", timezone="UTC"), timezone="UTC")
    assert office.meeting().cancelled


def test_an_event_without_a_readable_time_is_a_dead_letter() -> None:
    """The rest of its page goes on."""
    office = Office()
    bad = event("u1", LATEST, XENA)
    bad["start"] = "soon"
    office.page("ann", shown("1", bad), shown("2", event("u2", LATEST, XENA)))
    office.pipeline.run()
    assert [meeting.uid for meeting in meetings_in(office.pipeline)] == ["u2"]
    assert office.pipeline.dead() == ["bad_time"]


# -- answers and deletions --------------------------------------------------------------------------------------


def invitation(start: str = LATEST, bob: str = "none", **fields: Any) -> Any:
    """Xena invites ann and bob."""
    return event("u1", start, "ann@acme.com", attendee("bob@acme.com", bob), organizer=XENA, **fields)


def test_an_answer_comes_from_the_members_own_copy() -> None:
    """The organiser may not know yet, or never; a colleague's copy does not count."""
    office = Office()
    office.page("ann", shown("1", invitation(bob="accepted", sequence=1)))
    office.page("bob", shown("1", invitation(bob="declined")))
    assert (office.meeting().members, office.meeting().declined) == ({"ann", "bob"}, {"bob"})


def test_an_answer_may_be_said_apart_from_the_list() -> None:
    """Some providers hide the list and say what the owner answered."""
    office = Office()
    office.page("bob", shown("1", event("u1", LATEST, organizer=XENA, owner_response="declined")))
    assert office.meeting().declined == {"bob"}


def test_an_answer_under_an_alias_is_the_members() -> None:
    """An alias is the same person."""
    office = Office()
    declined = attendee("Ann.Berg@acme.com", "declined")
    office.page("ann", shown("1", event("u1", LATEST, declined, organizer=XENA)))
    assert office.meeting().declined == {"ann"}


def test_a_member_without_a_copy_answers_in_the_copy_that_says_the_state() -> None:
    """Its calendar is not connected; what the organiser heard counts."""
    office = Office()
    office.page("ann", shown("1", invitation(bob="declined")))
    assert (office.meeting().members, office.meeting().declined) == ({"ann", "bob"}, {"bob"})


def test_a_stale_copy_says_nothing_of_anybodys_answer() -> None:
    """Bob, who has no calendar, declined the time before; of the new one nobody has heard."""
    office = Office()
    old = event(
        "u1",
        LATEST,
        "ann@acme.com",
        attendee("bob@acme.com", "declined"),
        organizer="eve@acme.com",
        sequence=1,
    )
    new = event("u1", day(4, "10:00:00Z"), XENA, "bob@acme.com", organizer="eve@acme.com", sequence=2)
    office.page("ann", shown("1", old))
    assert office.meeting().rule == "internal"
    office.page("eve", shown("1", new))
    assert (office.meeting().members, office.meeting().declined) == ({"ann", "bob", "eve"}, set())


@pytest.mark.parametrize(("removed", "declines"), [(None, True), (-2, True), (-4, False)])
def test_of_two_calendars_of_a_member_the_newer_answers_unless_it_deleted_before(
    removed: int | None, declines: bool
) -> None:
    """Deleting it after the start changes nothing; before the start the other one is left."""
    office = Office()
    start = day(-3, "10:00:00Z")
    asked = event("u1", start, "ann@acme.com", organizer=XENA, updated=1)
    office.page("ann", shown("1", asked), connection="home-ann")
    declined = event("u1", start, attendee("ann@acme.com", "declined"), organizer=XENA, updated=2)
    office.page("ann", shown("1", declined))
    if removed is not None:
        office.page("ann", gone("1"), at=removed)
    assert office.meeting().declined == ({"ann"} if declines else set())


@pytest.mark.parametrize(
    ("answer", "removed", "declines"),
    [
        ("none", -4, True),
        ("", -4, True),
        ("accepted", -4, False),
        ("tentative", -4, False),
        ("declined", -4, True),
        ("none", -2, False),
        ("declined", -2, True),
    ],
)
def test_a_copy_deleted_before_the_start_without_an_answer_declines(
    answer: str, removed: int, declines: bool
) -> None:
    """With an answer it is the answer; after the start a deletion changes nothing. The meeting was three days ago."""
    office = Office()
    for member in ("ann", "bob"):
        office.page(member, shown("1", invitation(day(-3, "10:00:00Z"), answer)))
    office.page("bob", gone("1", day_ms(removed)))
    meeting = office.meeting()
    assert (meeting.members, meeting.declined) == ({"ann", "bob"}, {"bob"} if declines else set())
    assert not meeting.cancelled


@pytest.mark.parametrize(("removed", "cancelled"), [(-4, True), (-2, False)])
def test_the_organizers_deletion_before_the_start_cancels(removed: int, cancelled: bool) -> None:
    """However many copies the invited still hold; after the start it changes nothing."""
    office = Office()
    one = event("u1", day(-3, "10:00:00Z"), "bob@acme.com", XENA, organizer="ann@acme.com")
    for member in ("ann", "bob"):
        office.page(member, shown("1", one))
    office.page("ann", gone("1"), at=removed)
    assert office.meeting().cancelled == cancelled
    assert "bob" in office.meeting().members


@pytest.mark.parametrize(
    ("ann", "bob", "cancelled"), [(-4, -5, True), (-4, -2, False), (-2, -1, False), (-4, None, False)]
)
def test_the_last_copy_deleted_before_the_start_cancels(ann: int, bob: int | None, cancelled: bool) -> None:
    """Two were invited; while one of them holds it until the start it takes place."""
    office = Office()
    for member, removed in (("ann", ann), ("bob", bob)):
        office.page(member, shown("1", invitation(day(-3, "10:00:00Z"))))
        if removed is not None:
            office.page(member, gone("1"), at=removed)
    assert office.meeting().cancelled == cancelled


def test_a_copy_that_is_shown_again_was_not_deleted() -> None:
    """Restored from the bin, or invited anew: the newest word counts."""
    office = Office()
    office.page("ann", shown("1", invitation(day(-3, "10:00:00Z"))))
    office.page("ann", gone("1"), at=-5)
    assert office.meeting().cancelled
    office.page("ann", shown("1", invitation(day(-3, "10:00:00Z"))), at=-4)
    meeting = office.meeting()
    assert (meeting.cancelled, meeting.members, meeting.declined) == (False, {"ann", "bob"}, set())


SAID: Final = {
    "removed before the start, and again after it": (["shown", "removed", "late"], "cancelled"),
    "removed, restored, and removed after the start": (["shown", "removed", "shown", "late"], "takes place"),
    "removed, restored, and removed before the start": (["shown", "late", "shown", "removed"], "cancelled"),
    "removed after the start": (["shown", "late", "removed"], "takes place"),
    "replaced, and then removed": (["shown", "replaced", "removed"], "forgotten"),
    "removed, and then replaced": (["shown", "removed", "replaced"], "forgotten"),
    "replaced, and shown again": (["replaced", "shown"], "takes place"),
}


@pytest.mark.parametrize(("words", "meant"), SAID.values(), ids=SAID)
def test_words_on_one_event_mean_the_same_in_any_order(words: list[str], meant: str) -> None:
    """An event is gone since that was said first after it was shown last; fetch numbers say what first and last are."""
    one = event("u1", day(-3, "10:00:00Z"), "ann@acme.com", organizer=XENA)
    changes = {
        "shown": shown("1", one),
        "removed": gone("1", day_ms(-4)),
        "late": gone("1", day_ms(-2)),
        "replaced": gone("1", op="replaced"),
    }
    for order in permutations(enumerate(words)):
        office = Office()
        for fetch, word in order:
            office.page("ann", changes[word], fetch=fetch)
            office.pipeline.run()
        found = ["cancelled" if meeting.cancelled else "takes place" for meeting in office.meetings()]
        assert found == ([] if meant == "forgotten" else [meant])


def test_a_meeting_moved_behind_a_deletion_lets_the_member_decline() -> None:
    """Whether it was deleted before the start is asked of the start as it is now."""
    office = Office()
    for member in ("ann", "bob"):
        office.page(member, shown("1", invitation(day(-8, "10:00:00Z"))))
    office.page("bob", gone("1"), at=-5)
    assert office.meeting().declined == set()
    office.page("ann", shown("1", invitation(day(-3, "10:00:00Z"), sequence=1)))
    assert office.meeting().declined == {"bob"}


# -- listings ---------------------------------------------------------------------------------------------------


def test_a_listing_removes_what_it_does_not_show() -> None:
    """In its range and stream only, and nothing that was fetched after it began."""
    office = Office()
    told = {
        name: event(name, day(days, "10:00:00Z"), XENA)
        for name, days in zip("abcde", (1, 2, 3, 9, 2), strict=True)
    }
    office.page("ann", *(shown(name, told[name]) for name in "abd"))
    office.page("ann", shown("e", told["e"]), stream="another calendar")
    office.page("ann", shown("c", told["c"]), fetch=50)
    office.listing("ann", shown("a", told["a"]), range_from=day_ms(0), range_to=day_ms(7))
    assert {m.uid: m.cancelled for m in office.meetings()} == dict.fromkeys("acde", False) | {"b": True}


def test_a_listing_without_bounds_is_of_everything() -> None:
    """It shows nothing, so nothing is left."""
    office = Office()
    office.page(
        "ann", *(shown(str(days), event(str(days), day(days, "10:00:00Z"), XENA)) for days in (-400, 400))
    )
    office.listing("ann", at=-500)
    assert [meeting.cancelled for meeting in office.meetings()] == [True, True]


def test_what_moved_out_of_a_listings_range_before_it_stays_when_its_page_comes_late() -> None:
    """A listing is held against what was known when it began, whichever lane was ahead."""
    office = Office()
    office.page("ann", shown("1", event("u1", day(3, "10:00:00Z"), XENA)), fetch=1)
    office.listing("ann", range_from=day_ms(0), range_to=day_ms(7), fetch=3)
    office.pipeline.run()
    office.page("ann", shown("1", event("u1", day(9, "10:00:00Z"), XENA)), fetch=2)
    assert not office.meeting().cancelled


def test_a_listing_that_never_ends_removes_nothing_and_a_new_one_voids_it() -> None:
    """The connector crashed and began again: what only the first one showed is gone by the second one."""
    office = Office()
    told = [shown(name, event(name, LATEST, XENA)) for name in "ab"]
    office.page("ann", *told)
    office.page("ann", type="listing_begin", listing="l1")
    office.page("ann", told[0], listing="l1")
    assert [meeting.cancelled for meeting in office.meetings()] == [False, False]
    office.listing("ann", told[1], name="l2")
    assert [meeting.cancelled for meeting in office.meetings()] == [True, False]


def test_past_occurrences_that_a_changed_series_no_longer_has_never_count() -> None:
    """The series has other times now: what it said before is replaced, what lies ahead is removed."""
    office = Office()
    was = {n: series(n, day(n, "10:00:00Z"), owner_organizes=True) for n in (-8, -1, 6)}
    now = {n: series(n, day(n, "15:00:00Z"), owner_organizes=True) for n in (-7, 7)}
    office.page("ann", *was.values())
    office.listing("ann", *now.values(), at=0)
    meetings = office.meetings()
    assert [(round((m.at - day_ms(0)) / 86_400_000), m.cancelled) for m in meetings] == [
        (-6, False),
        (6, True),
        (8, False),
    ]


def test_a_past_single_event_that_a_listing_does_not_show_was_deleted_later() -> None:
    """Nothing says that it moved; deleting later changes nothing."""
    office = Office()
    office.page("ann", shown("1", event("u1", day(-3, "10:00:00Z"), XENA)))
    office.listing("ann", at=0)
    assert not office.meeting().cancelled


def test_a_replaced_copy_is_forgotten() -> None:
    """As though it had never been shown: no copy, no owner, no answer; with the last one goes the meeting."""
    office = Office()
    for member in ("ann", "bob"):
        one = event("u1", day(-3, "10:00:00Z"), f"{member}@acme.com", organizer=XENA)
        office.page(member, shown("1", one))
    office.page("bob", gone("1", op="replaced"))
    assert (office.meeting().members, office.meeting().cancelled) == ({"ann"}, False)
    office.page("ann", gone("1", op="replaced"))
    assert office.meetings() == []


def test_the_end_of_a_voided_listing_says_nothing() -> None:
    """Its begin was overtaken by another begin; only the open one can end."""
    office = Office()
    office.page("ann", shown("a", event("a", LATEST, XENA)))
    office.page("ann", type="listing_begin", listing="l1")
    office.page("ann", type="listing_begin", listing="l2")
    publish(office.pipeline, replace(office.pages[-2], type="listing_end", fetch=9))
    assert not office.meeting().cancelled


# -- what is no meeting, and what is private --------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", ["focusTime", "outOfOffice", "workingLocation", "birthday", "fromGmail", "freeBusy"]
)
def test_what_is_no_meeting_does_not_count(kind: str) -> None:
    """Whoever is named in it."""
    office = Office()
    office.page("ann", shown("1", event("u1", LATEST, XENA, kind=kind)))
    assert (office.meeting().synced, office.meeting().rule) == (False, "not_a_meeting")


@pytest.mark.parametrize("visibility", ["private", "confidential"])
def test_a_private_event_counts_without_what_it_says(visibility: str) -> None:
    """One copy that calls it private is enough; the setting skips it altogether."""
    office = Office()
    office.page("ann", shown("1", invitation()))
    office.page("bob", shown("1", invitation(visibility=visibility)))
    meeting = office.meeting()
    assert (meeting.synced, meeting.private) == (True, True)
    assert (meeting.title, meeting.location, meeting.preview) == ("", "", "")
    office.change(tenant("acme.com", timezone=ZONE, private_meetings="skip"))
    assert (office.meeting().synced, office.meeting().rule) == (False, "private_meeting")


@pytest.mark.parametrize("kind", ["room", "resource"])
def test_rooms_and_resources_do_not_take_part(kind: str) -> None:
    """A meeting of colleagues in a room of the customer stays internal; an excluded room excludes nothing."""
    office = Office(match_by="domain")
    room = attendee("room@kund.se", "accepted", kind=kind)
    office.page("ann", shown("1", event("u1", LATEST, "bob@acme.com", room, organizer="ann@acme.com")))
    assert (office.meeting().rule, office.meeting().people) == (
        "internal",
        {("organizer", "ann@acme.com"), ("attendee", "bob@acme.com"), ("room", "room@kund.se")},
    )
    office.change(entry("exclusion", "address:room@kund.se", "room@kund.se"))
    office.page("ann", shown("1", event("u1", LATEST, XENA, room, organizer="ann@acme.com")))
    assert (office.meeting().rule, office.meeting().customers) == ("customer_domain", {"kund"})


# -- who is it with ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("organizer", "attendees", "rule"),
    [
        ("ann@acme.com", [XENA], "contact_address"),
        (XENA, ["ann@acme.com"], "contact_address"),
        (XENA, [], "contact_address"),
        (STRANGER, ["ann@acme.com", XENA], "unknown_organizer"),
        (STRANGER, ["ann@acme.com"], "no_customer"),
        ("ann@acme.com", ["bob@acme.com"], "internal"),
        ("", [XENA], "contact_address"),
        ("", ["bob@acme.com"], "internal"),
        ("", [], "internal"),
    ],
)
def test_the_organizer_rule(organizer: str, attendees: list[str], rule: str) -> None:
    """Synced when a member or the customer organises; where nobody is named the owner does."""
    office = Office()
    office.page("ann", shown("1", event("u1", LATEST, *attendees, organizer=organizer)))
    meeting = office.meeting()
    assert (meeting.rule, meeting.synced) == (rule, rule == "contact_address")
    assert meeting.members == ({"ann"} if meeting.synced else set())


def test_who_organises_alone_does_so_under_an_address_that_is_theirs() -> None:
    """Not under one that was given back, which would make a stranger of them."""
    office = Office()
    office.change(entry("member", "ann", at("ann@gmail.com", ended=RECORDED), "ann@acme.com"))
    office.page("ann", shown("1", event("u1", LATEST, XENA)))
    assert (office.meeting().organizer, office.meeting().rule) == ("ann@acme.com", "contact_address")


def test_an_unknown_organizer_counts_where_the_setting_says_so() -> None:
    """A listed member and a matching address have to attend both."""
    office = Office(sync_unknown_organizer=True)
    both = event("u1", LATEST, "ann@acme.com", XENA, organizer=STRANGER)
    unlisted = event("u2", day(4, "10:00:00Z"), XENA, organizer=STRANGER)
    office.page("ann", shown("1", both), shown("2", unlisted))
    assert [meeting.rule for meeting in office.meetings()] == ["sync_unknown_organizer", "unknown_organizer"]


def test_an_excluded_participant_leaves_the_meeting_out_and_removing_the_exclusion_brings_it_back() -> None:
    """Without a provider call."""
    office = Office()
    office.page("ann", shown("1", event("u1", LATEST, XENA, "y@kund.se")))
    rule = entry("exclusion", "address:y@kund.se", "y@kund.se")
    office.change(rule)
    assert office.meeting().rule == "excluded"
    office.change({**rule, "deleted": True})
    office.directory.pop()
    assert office.meeting().synced


def test_a_copy_that_does_not_name_its_owner_says_nothing_of_the_answer() -> None:
    """Exports that leave attendees out take nobody's refusal back; one that asks its owner does."""
    office = Office()
    organised = event("u1", LATEST, XENA, attendee("bob@acme.com", "declined"), organizer="ann@acme.com")
    office.page("ann", shown("1", organised))
    office.page("bob", shown("1", event("u1", LATEST, organizer="ann@acme.com")))
    assert office.meeting().declined == {"bob"}
    office.page("bob", shown("1", event("u1", LATEST, "bob@acme.com", organizer="ann@acme.com")))
    assert office.meeting().declined == set()


def test_a_series_cut_short_keeps_what_was_held() -> None:
    """Past occurrences behind the last that is shown were not moved to other times: deleting later changes nothing."""
    office = Office()
    weeks = [day(-22, "10:00:00Z"), day(-15, "10:00:00Z"), day(-8, "10:00:00Z")]
    every = [
        shown(str(n), event("u1", at, XENA, organizer="ann@acme.com", original_start=at, series="u1"))
        for n, at in enumerate(weeks)
    ]
    office.listing("ann", *every, at=-5)
    office.listing("ann", every[0], at=-1, name="l2")
    held = [one.at for one in office.meetings() if not one.cancelled]
    assert held == [moment(at, ZONE) for at in weeks]


# -- what other products got wrong ---------------------------------------------------------------------------------


def test_a_meeting_that_changes_its_organiser_stays_one_meeting() -> None:
    """The new organiser's copy tells the state, the old one's is stale."""
    office = Office()
    office.page(
        "ann", shown("1", event("u1", LATEST, XENA, "eve@acme.com", organizer="ann@acme.com", sequence=1))
    )
    moved = event("u1", day(4, "10:00:00Z"), XENA, "ann@acme.com", organizer="eve@acme.com", sequence=2)
    office.page("eve", shown("1", moved))
    found = office.meeting()
    assert (found.at, found.organizer) == (moment(day(4, "10:00:00Z"), ZONE), "eve@acme.com")
    assert found.members == {"ann", "eve"}


def test_an_invited_group_is_somebody_and_its_members_count_by_their_own_copies() -> None:
    """A group's address names nobody of the team; who holds a copy takes part."""
    office = Office()
    group = attendee("team@acme.com", kind="group")
    office.page("ann", shown("1", event("u1", LATEST, XENA, group, organizer="ann@acme.com")))
    office.page("bob", shown("1", event("u1", LATEST, XENA, group, organizer="ann@acme.com")))
    found = office.meeting()
    assert (found.synced, found.members) == (True, {"ann", "bob"})


def test_a_crowd_with_odd_addresses_is_one_meeting_with_all_that_can_be_read() -> None:
    """Hundreds of guests, one without an address, one in another script."""
    office = Office()
    crowd = [attendee(f"guest{n}@stranger.example") for n in range(300)]
    odd = [attendee(""), attendee("J\u00f6rg@b\u00fccher.example"), attendee(XENA)]
    office.page("ann", shown("1", event("u1", LATEST, *crowd, *odd, organizer="ann@acme.com")))
    found = office.meeting()
    assert found.synced
    assert len(found.people) == 303
    assert ("attendee", "j\u00f6rg@xn--bcher-kva.example") in found.people
