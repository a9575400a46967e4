"""What was made awkward on purpose, in plain words: what it is, and how it had to be counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Oddity:
    """One kind of awkwardness; `names` are those under which the story counts it."""

    what: str
    counted: str
    names: tuple[str, ...]

    def often(self, awkward: Mapping[str, int]) -> int:
        """How often it was put in."""
        return sum(awkward.get(name, 0) for name in self.names)


MAIL: Final = (
    Oddity("copies of one mail with clocks apart", "one mail, at the earliest time", ("skewed",)),
    Oddity("sent to a group of colleagues", "for the customer; for members if named", ("through_group",)),
    Oddity("through a public list", "if somebody known wrote it", ("public_list",)),
    Oddity("colleagues among themselves", "not at all", ("internal", "forwarded_inside")),
    Oddity("private mail with strangers", "not at all", ("private",)),
    Oddity("an unknown author", "not at all", ("unknown_sender",)),
    Oddity("to an address of the team that is nobody's", "for the members who read it", ("shared_mailbox",)),
    Oddity("the same mail twice in one mailbox", "once", ("twice_in_one_mailbox",)),
    Oddity("Message-ID replaced by the provider", "as the mail it was", ("id_replaced_by_provider",)),
    Oddity(
        "Message-ID used for several mails",
        "each for itself",
        ("id_resent", "id_reused_by_answer", "one_id_for_all"),
    ),
    Oddity("no Message-ID", "once, known by what it says", ("no_message_id",)),
    Oddity(
        "no date, or one nobody can read", "at another copy's date, or not", ("dateless", "dateless_copy")
    ),
    Oddity("a date before 1990", "at another copy's date, or not", ("ancient", "ancient_copy")),
    Oddity("a date in the future", "not before that day", ("future",)),
    Oddity(
        "an answer that names its thread oddly",
        "in its conversation",
        (
            "references_truncated",
            "in_reply_to_only",
            "in_reply_to_bare",
            "in_reply_to_free_form",
            "in_reply_to_two",
            "first_reference_only",
        ),
    ),
    Oddity("an answer to a mail nobody here has", "in a conversation with it", ("answers_unseen",)),
    Oddity("References on a first mail", "a conversation of its own", ("references_on_first",)),
    Oddity(
        "an answer that names nothing",
        "a conversation of its own",
        ("reply_without_references", "in_reply_to_yes"),
    ),
    Oddity("a mail that joins two threads", "one conversation from now on", ("joins_two_threads",)),
    Oddity(
        "subjects and domains beyond ASCII", "like any other", ("subject_beyond_ascii", "domain_beyond_ascii")
    ),
    Oddity("author replaced by a list", "as the author's where it is known", ("author_rewritten_by_list",)),
    Oddity("author hidden by a list for good", "as its other copies'", ("author_hidden_by_list",)),
    Oddity("in a mailbox that no header names", "for the mailbox's owner too", ("owner_not_named",)),
    Oddity("newsletters", "not at all", ("bulk",)),
    Oddity("automatic answers and bounces", "not at all", ("auto_reply", "bounce")),
    Oddity("invitations as mail", "not as mail", ("calendar_notice",)),
    Oddity(
        "an address of two contacts or customers", "for both", ("ambiguous_contact", "ambiguous_customer")
    ),
    Oddity("drafts, junk and trash", "not at all", ("draft_junk_or_trash",)),
    Oddity("taken out of junk", "from then on", ("taken_out_of_junk",)),
    Oddity(
        "read, archived or renamed",
        "as before",
        ("read_between_rounds", "archived_between_rounds", "archived_under_new_name"),
    ),
    Oddity("trashed or deleted later", "as before", ("trashed_between_rounds", "deleted_between_rounds")),
    Oddity("came late", "as if it had come in time", ("arrived_in_second_round",)),
    Oddity(
        "contact or alias in the directory late",
        "as if it had always been there",
        ("contact_created_late", "alias_added_late"),
    ),
)
MEETINGS: Final = (
    Oddity("a series", "each occurrence", ("series",)),
    Oddity("begun long before what is read", "from where reading begins", ("series_begun_before",)),
    Oddity("an occurrence or meeting moved", "at its new time", ("occurrence_moved", "moved")),
    Oddity("moved, and no copy says which is newer", "as last written", ("moved_without_sequence",)),
    Oddity("a colleague's calendar not up to date", "as the organiser's says", ("stale_copy",)),
    Oddity("an occurrence taken out of its series", "not at all", ("occurrence_left_out",)),
    Oddity("cancelled by the organiser", "not at all", ("cancelled", "occurrence_cancelled")),
    Oddity("struck out by a guest only", "for everybody", ("struck_out_by_guest",)),
    Oddity("answers differ between calendars", "a member's own is right", ("answer_differs",)),
    Oddity("declined, without a copy of its own", "not for that member", ("declined_without_own_copy",)),
    Oddity("one occurrence declined", "not for that member", ("occurrence_declined",)),
    Oddity("invited to one occurrence only", "that one", ("invited_to_one_occurrence",)),
    Oddity("other guests after a change", "for the new guests", ("guests_changed",)),
    Oddity("invited through a list", "for whoever has it in the calendar", ("list_invited",)),
    Oddity("the organiser is a contact", "as any other", ("organised_by_contact",)),
    Oddity("the organiser is unknown", "not at all", ("organised_by_unknown",)),
    Oddity("no organiser, but guests", "the calendar's owner organised it", ("without_organiser",)),
    Oddity("no guests", "not at all", ("without_guests",)),
    Oddity("colleagues or strangers only", "not at all", ("internal_meeting", "with_strangers")),
    Oddity("private", "counted, its words hidden", ("private_copy",)),
    Oddity("rooms and equipment invited", "nobody", ("room",)),
    Oddity("whole days", "on the first, from midnight", ("meeting_all_day",)),
    Oddity(
        "over midnight, or at its very second",
        "on the day it begins",
        ("meeting_over_midnight", "meeting_at_midnight"),
    ),
    Oddity(
        "in an hour that comes twice or never",
        "the first; an hour later",
        ("meeting_in_repeated_hour", "meeting_in_skipped_hour"),
    ),
    Oddity("at this very moment", "planned, a second before: met", ("meeting_at_this_moment",)),
    Oddity(
        "times in Windows' or homemade zones",
        "at the same instant",
        ("clock_w_europe", "clock_eastern", "clock_japan", "clock_custom", "clock_custom_fixed"),
    ),
    Oddity("times without a zone", "in the company's zone", ("clock_floating",)),
    Oddity("another program's name in Outlook's", "as the same meeting", ("uid_wrapped",)),
    Oddity("no name (UID)", "once, known by what it says", ("without_uid",)),
    Oddity("twice in one calendar", "once, as in the newer", ("twice_in_one_calendar",)),
    Oddity("tasks, journals, free and busy times", "not at all", ("task", "journal", "free_busy")),
    Oddity(
        "deleted by the organiser or by all",
        "not at all",
        ("deleted_by_organiser", "deleted_everywhere", "series_shortened"),
    ),
    Oddity("deleted by a guest without an answer", "not for that member", ("deleted_without_answer",)),
    Oddity("deleted by a guest who had answered", "as answered", ("deleted_with_answer",)),
    Oddity("deleted when it was over", "as before", ("deleted_afterwards",)),
    Oddity(
        "changed between two exports",
        "as the second says",
        (
            "moved_between_exports",
            "cancelled_between_exports",
            "answered_between_exports",
            "only_in_second_export",
        ),
    ),
)
AT_MICROSOFT: Final = (
    Oddity("written as a draft, sent later", "when it was sent", ("sent_from_draft",)),
    Oddity("moved to junk after it was read", "not any more", ("moved_to_junk",)),
    Oddity("older than six months", "not at all", ("older_than_is_read",)),
    Oddity(
        "an answer that names nothing, in a conversation of its mailbox",
        "in that conversation",
        ("joined_by_conversation",),
    ),
    Oddity("in a calendar that a colleague shares", "not at all", ("in_shared_calendar",)),
    Oddity("meetings too long ago or too far ahead", "not at all", ("out_of_range",)),
)
"""What only mailboxes and calendars at Microsoft 365 have; what the others have they have too."""
