"""Real mail: a public list of 11,424 mails, 117 delivery reports, and mails that break parsers."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from functools import cache

from corpora import USRP, corpus, fields_of, header_blocks, mail_fields, usrp_threads, whole_mails
from mail_copies import make_copy
from rapport_processors.mail.messages import group
from rapport_processors.mail.parse import ParsedMail, parse_mail
from rapport_producers.archive.mail import mail_text
from rapport_schemas.records import Copy
from structured_mail import structured


class UnionFind:
    """Which things are connected."""

    def __init__(self) -> None:
        self._parents: dict[object, object] = {}

    def find(self, thing: object) -> object:
        parents = self._parents
        parents.setdefault(thing, thing)
        while parents[thing] != thing:
            parents[thing] = thing = parents[parents[thing]]
        return thing

    def join(self, one: object, other: object) -> None:
        self._parents[self.find(one)] = self.find(other)


@cache
def usrp() -> list[ParsedMail]:
    return [parse_mail(mail_fields(block)) for block in header_blocks(corpus(USRP))]


def usrp_copies() -> list[Copy]:
    return [
        make_copy(f"k{number:06}", fetched_at=number, thread_key=parsed.thread_id.encode(), **parsed.message)
        for number, parsed in enumerate(usrp())
    ]


def threads_by(find: UnionFind, ids: dict[str, object]) -> list[list[str]]:
    threads: defaultdict[object, set[str]] = defaultdict(set)
    for message_id, node in ids.items():
        threads[find.find(node)].add(message_id)
    return sorted(sorted(members) for members in threads.values())


def test_usrp_users_is_11385_messages_in_2846_threads() -> None:
    """Linking every id of every copy gives exactly the partition of the contract."""
    find = UnionFind()
    for parsed in usrp():
        for link in parsed.links:
            find.join(link, parsed.links[0])
    messages = group(usrp_copies())
    threads = threads_by(find, {message.message_id: message.identity for message in messages})
    assert (len(usrp()), len(messages), len(threads)) == (11_424, 11_385, 2_846)
    assert threads == usrp_threads()


def test_thread_keys_and_claims_give_the_same_threads() -> None:
    """Each copy names one key and claims it for each of its ids: that is enough."""
    find = UnionFind()
    for parsed in usrp():
        for link in parsed.links:
            find.join(("id", link), ("key", parsed.thread_id))
    keys: dict[str, object] = {parsed.message["header_id"]: ("key", parsed.thread_id) for parsed in usrp()}
    assert threads_by(find, keys) == usrp_threads()


def test_usrp_users_hides_no_author_behind_the_list() -> None:
    """42 % of the mails come from the list's address; every author is recovered."""
    messages = [parsed.message for parsed in usrp()]
    assert all(message["author"] and not message["author_hidden"] for message in messages)
    assert not any(message["author"] == "usrp-users@lists.ettus.com" for message in messages)
    assert all(message["date"] for message in messages)
    assert {message["mail_class"] for message in messages} == {"list"}


def test_the_directory_made_for_usrp_users_knows_its_authors() -> None:
    """Nearly every author is a member or stands at a customer, or the addresses were misread."""
    directory = json.loads(corpus("usrp-users.directory.json").read_text())
    known = {
        (entry if isinstance(entry, str) else entry["address"]).lower()
        for kind in ("members", "contacts")
        for owner in directory[kind]
        for entry in owner["addresses"]
    }
    authors = [parsed.message["author"] for parsed in usrp()]
    assert sum(author in known for author in authors) > 0.95 * len(authors)


NO_REPORTS = {
    "groupwise_03.txt": "human",  # a person's answer with a picture, "not a bounce but has confused groupwise"
    "qmail_08.txt": "auto_reply",  # a shop's automatic answer, which crashed a detector
}
"""What the corpus holds as counter-examples: its own tests, too, expect that nothing is found in them."""


def test_every_delivery_report_is_a_bounce() -> None:
    """115 reports of forty mail systems, 27 of them of RFC 3464, and the two mails beside them are not."""
    classes = {
        name: parse_mail(fields_of(mail)).message["mail_class"]
        for name, mail in whole_mails("bounces", "*.txt")
    }
    assert len(classes) == 117
    assert {name: found for name, found in classes.items() if found != "bounce"} == NO_REPORTS


def test_what_the_connector_holds_says_the_same_class() -> None:
    """Also through the connector's own reading of headers and MIME tree."""
    for name, mail in whole_mails("bounces", "*.txt"):
        read = parse_mail(mail_text(mail).fields(len(mail))).message
        assert read["mail_class"] == NO_REPORTS.get(name, "bounce"), name


def test_a_report_is_known_without_return_path_and_mime_tree() -> None:
    """A provider that says mail in fields may show neither."""
    for name, mail in whole_mails("bounces", "*.txt"):
        said = structured(mail_text(mail).fields(len(mail)))
        said["headers"] = re.sub(rb"(?im)^return-path:.*(?:\n[ \t].*)*\n?", b"", said["headers"])
        said["mime"] = []
        assert parse_mail(said).message["mail_class"] == NO_REPORTS.get(name, "bounce"), name


def test_of_the_tricky_mails_only_the_delivery_reports_are_bounces() -> None:
    """All six are of RFC 3464."""
    found = {
        name
        for name, mail in whole_mails("tricky-mail", "*.eml")
        if parse_mail(fields_of(mail)).message["mail_class"] == "bounce"
    }
    assert found == {
        "multi_address_bounce1.eml",
        "multi_address_bounce2.eml",
        "multipart_report_multiple_status.eml",
        "raw_email_with_mimepart_without_content_type.eml",
        "report_422.eml",
        "report_530.eml",
    }


def test_tricky_mails_are_read() -> None:
    """None is refused, and what can be read is read."""
    read = {name: parse_mail(fields_of(mail)).message for name, mail in whole_mails("tricky-mail", "*.eml")}
    assert len(read) > 90
    without_author = {name for name, message in read.items() if not message["author"]}
    assert without_author == {"bad_encoded_subject.eml"}  # it has no From
    subjects = {name: message["subject"] for name, message in read.items()}
    assert subjects["bad_encoded_subject.eml"] == "TEST"
    assert subjects["raw_email.eml"] == "NOTE: 한국말로 하는 것"
    assert subjects["example14.eml"] == "Re: TEST テストテスト"
    assert subjects["japanese.eml"] == "まみむめも"
    people = {name: {person["address"] for person in message["people"]} for name, message in read.items()}
    assert people["utf8_headers.eml"] == {"jdöe@xn--mchine-bua.example", "märy@xn--exmple-cua.net"}
    assert people["example13.eml"] == {"jdoe@machine.example", "mary@example.net"}
    assert people["raw_email_multiple_from.eml"] == {"tim@powerupdev.com", "concierge@powerupdev.com"}
    assert people["empty_group_lists.eml"] == {
        "ceciledwards@sbcglobal.net",
        "western.uniontransfer1@hotmail.fr",
    }


def test_tricky_dates_are_unreadable_only_where_nobody_could_read_them() -> None:
    """Four have a broken date, nine have none."""
    read = [(name, parse_mail(fields_of(mail))) for name, mail in whole_mails("tricky-mail", "*.eml")]
    undated = {name for name, parsed in read if parsed.message["date"] is None}
    broken = {
        "bad_date_header.eml",
        "bad_date_header2.eml",
        "raw_email_bad_time.eml",
        "raw_email_with_bad_date.eml",
    }
    absent = {
        "bad_encoded_subject.eml",
        "content_transfer_encoding_empty.eml",
        "invalid_subject_characters.eml",
        "japanese.eml",
        "japanese_iso_2022.eml",
        "multiple_content_types.eml",
        "multiple_invalid_content_dispositions.eml",
        "multiple_references_with_one_invalid.eml",
        "utf8_headers.eml",
    }
    assert undated == broken | absent
