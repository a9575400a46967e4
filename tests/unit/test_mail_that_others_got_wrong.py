"""Mail that other products stored twice, credited to one of many, threaded wrongly or counted as an answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from whole_path import Found, WholePath

INVITATION = (
    'Content-Type: multipart/{kind}; boundary="b"\n\n--b\nContent-Type: text/plain\n\nhello\n'
    "--b\nContent-Type: text/calendar; method=REQUEST{file}\n\nBEGIN:VCALENDAR\n--b--"
)


def mail(
    *more: str,
    id_: str = "<one@kund.se>",
    sender: str = "x@kund.se",
    to: str = "a@acme.com",
    subject: str = "Offer",
) -> bytes:
    """A mail of 10 March 2026; `more` are further lines, the first of which may be another Date."""
    date = [] if any(line.startswith("Date:") for line in more) else ["Date: Tue, 10 Mar 2026 10:00:00 +0000"]
    id_lines = [f"Message-ID: {id_}"] if id_ else []
    lines = [f"From: {sender}", f"To: {to}", f"Subject: {subject}", *date, *id_lines, *more]
    text = "\n".join(lines)
    return (text if "\n\n" in text else text + "\n\ntext").encode() + b"\n"


def items(tmp_path: Path, **mailboxes: list[bytes]) -> list[Found]:
    """What the mailboxes of members `m1` … are together, by time and id."""
    path = WholePath()
    for member, mails in mailboxes.items():
        path.mbox(tmp_path / f"{member}.mbox", mails, member)
    path.run()
    assert (path.lost(), path.reasons()) == ([], [])
    found = sorted(path.items(), key=lambda found: (found[0]["at"] or 0, found[1]["message_id"]))
    labels = path.pipeline.aliases()
    for item, _ in found:
        item["thread_key"] = labels.get(item["thread_key"], item["thread_key"])
    return found


def threads(found: list[Found]) -> int:
    """How many threads they are in."""
    return len({item["thread_key"] for item, _ in found})


def test_one_mail_in_three_mailboxes_is_one_item_with_three_participations(tmp_path: Path) -> None:
    """Each mailbox has its own trace headers and its own id; everybody gets the credit, not the first who connected."""
    copies = {
        member: [
            b"Received: by %s\nX-GM-THRID: %d\n" % (member.encode(), number)
            + mail(to="a@acme.com, b@acme.com")
        ]
        for number, member in enumerate(("m1", "m2", "m3"))
    }
    [(item, body)] = items(tmp_path, **copies)
    assert item["members"] == ["m1", "m2", "m3"]  # the third got it as Bcc
    assert len(body["copies"]) == 3


def test_one_mail_exported_three_times_is_one_item(tmp_path: Path) -> None:
    """An archive that holds everything three times, which some do."""
    assert len(items(tmp_path, m1=[mail()] * 3)) == 1


@pytest.mark.parametrize(
    ("other", "count"),
    [
        (mail("Date: Tue, 10 Mar 2026 10:01:30 +0000"), 1),
        (mail("Date: Tue, 10 Mar 2026 11:00:00 +0100"), 1),
        (mail("Date: Thu, 12 Mar 2026 10:00:00 +0000", subject="Offer, corrected"), 2),
        (mail(sender="y@kund.se", subject="Re: Offer"), 2),
        (mail(id_="one@kund.se"), 1),
        (mail(id_="<one@\n kund.se>"), 1),
        (mail(id_="<ONE@kund.se>"), 2),
        (mail("X-Google-Original-Message-ID: <one@kund.se>", id_="<new@mx.google.com>"), 1),
        (mail("X-Microsoft-Original-Message-ID: <one@kund.se>", id_="<new@outlook.com>"), 1),
    ],
)
def test_the_same_message_id(tmp_path: Path, other: bytes, count: int) -> None:
    """Reused by another author or another day it is another message; written or replaced differently it is the same."""
    assert len(items(tmp_path, m1=[mail()], m2=[other])) == count


def test_without_a_message_id_the_content_is_the_identity(tmp_path: Path) -> None:
    """In two mailboxes one item, however tags and prefixes of the subject were changed on the way; others stay apart."""
    same = [mail(id_="", subject=subject) for subject in ("Offer", "[EXTERN] Offer")]
    other = mail(id_="", to="b@acme.com")
    assert len(items(tmp_path, m1=[same[0]], m2=[same[1], other])) == 2


def test_a_third_mail_joins_two_threads(tmp_path: Path) -> None:
    """Whichever mailbox it came to."""
    one, two = mail(id_="<1@x.y>"), mail(id_="<2@x.y>", subject="Other")
    joining = mail("References: <1@x.y> <2@x.y>", id_="<3@x.y>")
    assert threads(items(tmp_path, m1=[one, two])) == 2
    assert threads(items(tmp_path, m1=[one, two], m2=[joining])) == 1


def test_equal_subjects_are_no_thread_and_a_new_subject_is_no_new_one(tmp_path: Path) -> None:
    """A second mail instead of a reply, the same word from a stranger; and a reply under another subject."""
    apart = [
        mail(id_="<1@x.y>"),
        mail(id_="<2@x.y>", subject="Re: Offer"),
        mail(id_="<3@x.y>", sender="z@kund.se"),
    ]
    assert threads(items(tmp_path, m1=apart)) == 3
    renamed = mail("In-Reply-To: <1@x.y>", id_="<4@x.y>", subject="Lunch?")
    assert threads(items(tmp_path, m1=[apart[0], renamed])) == 1


@pytest.mark.parametrize(
    ("more", "mail_class"),
    [
        (["Auto-Submitted: auto-replied", "In-Reply-To: <one@kund.se>"], "auto_reply"),
        (["Precedence: auto_reply", "In-Reply-To: <one@kund.se>"], "auto_reply"),
        (["X-Auto-Response-Suppress: OOF", "In-Reply-To: <one@kund.se>"], "human"),
        (["X-Failed-Recipients: x@kund.se", "References: <one@kund.se>"], "bounce"),
        ([INVITATION.format(kind="alternative", file="")], "calendar_notice"),
        ([INVITATION.format(kind="mixed", file="; name=i.ics\nContent-Disposition: attachment")], "human"),
        (["List-Unsubscribe: <https://x.y>"], "bulk"),
        (["List-Id: <l.x.y>", "List-Post: <mailto:l@x.y>"], "list"),
    ],
)
def test_what_is_no_answer_of_a_person_is_not_counted_as_one(
    tmp_path: Path, more: list[str], mail_class: str
) -> None:
    """It stays in its thread, and its class says what it is; an invitation as an attachment is a person's mail."""
    found = items(tmp_path, m1=[mail(), mail(*more, id_="<two@kund.se>", subject="Answer")])
    assert [item["mail_class"] for item, body in found if body["message_id"] == "two@kund.se"] == [mail_class]
    assert threads(found) == (1 if any("<one@" in line for line in more) else 2)
    assert all(item["synced"] for item, _ in found)


def test_a_mail_to_three_hundred_people_has_them_all(tmp_path: Path) -> None:
    """Not the first fifty; the contact and the colleague at the end of the list count."""
    many = ", ".join(f"p{number}@else.example" for number in range(300))
    [(item, body)] = items(tmp_path, m1=[mail(sender="a@acme.com", to=f"{many}, b@acme.com, x@kund.se")])
    assert item["members"] == ["m1", "m2"]
    assert item["contacts"] == ["p1"]
    assert len(body["people"]) == 303


@pytest.mark.parametrize(
    "to",
    [
        "undisclosed-recipients:;, x@kund.se",
        "=?utf-8?q?X=C3=A9nia?= <X@KUND.se>",
        '"x@kund.se" <x+news@kund.se>',
        "x@kund.se.",
        "'x@kund.se'",
        "Team: x@kund.se, b@else.example;",
        "b@else.example x@kund.se",
        "=?utf-8?q?x=40kund=2Ese?=",
        'broken "quote <x@kund.se>',
        "J\xc3\xb6rg J\xf6rg <x@kund.se>".encode("latin-1").decode("latin-1"),
    ],
)
def test_a_contact_is_found_however_the_address_is_written(tmp_path: Path, to: str) -> None:
    """Case, tags, groups, encodings and what mailers break."""
    raw = mail(sender="a@acme.com", to="@@").replace(b"@@", to.encode("latin-1"))
    [(item, _)] = items(tmp_path, m1=[raw])
    assert item["contacts"] == ["p1"]
