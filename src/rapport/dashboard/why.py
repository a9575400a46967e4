"""Why an item is in the record, or is not, as sentences for people."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Protocol

from starlette.requests import Request
from starlette.responses import Response

from rapport.dashboard.guard import signed_in_of
from rapport.dashboard.parts import parts_of
from rapport.dashboard.rendering import page
from rapport.explaining.sentences import roles_of
from rapport_processors.matching import Rule

_COUNTS_KEPT: Final = (
    "It was read from a mailbox that was disconnected; its content is erased, and only its numbers were kept."
)
_EMAIL_RULES: Final = {
    "contact_address": "An address in it belongs to a contact of a customer, and it was written by your team or by that side.",
    "customer_domain": "An address in it lies under a customer's domain, and it was written by your team or by that side.",
    "sync_unknown_sender": "Its author is unknown, but a team member and a customer's address both received it, "
    "and your settings count such mail.",
    Rule.COUNTS_KEPT: _COUNTS_KEPT,
}
_MEETING_RULES: Final = {
    "contact_address": "An address in it belongs to a contact of a customer, and your team or that side organises it.",
    "customer_domain": "An address in it lies under a customer's domain, and your team or that side organises it.",
    "sync_unknown_organizer": "Its organiser is unknown, but a team member and a customer's address are both invited, "
    "and your settings count such meetings.",
    Rule.COUNTS_KEPT: _COUNTS_KEPT,
}
_CLASSES: Final = {
    "human": "It was written by a person.",
    "list": "It came through a mailing list.",
    "bulk": "It is bulk mail, which is not counted unless your settings say so.",
    "auto_reply": "It is an automatic reply, which is not counted unless your settings say so.",
    "calendar_notice": "It is a calendar notice, which is not counted unless your settings say so.",
    "bounce": "It is a delivery report, which is not counted unless your settings say so.",
}


_MAY_OPEN: Final = frozenset({"admin"})
"""Roles that may open what is sealed: mail that belongs to no customer is nobody's business but the one's who runs this."""

_KNOWN_AS: Final = (("members", "member"), ("contacts", "contact"), ("customers", "customer"))


class _Naming(Protocol):
    def of(self, kind: str, subject_id: str) -> str: ...


def explained(item: Mapping[str, Any], names: _Naming, now: datetime) -> list[str]:
    """The deciding rule, the directory's entries it used, and what makes the item count more than once or not at all."""
    is_meeting = item["kind"] == "meeting"
    rule = item["reason"].get("rule", "")
    known = (_MEETING_RULES if is_meeting else _EMAIL_RULES).get(rule)
    sentences = [known or (f"The rule “{rule}” decided it." if rule else "Its decision left no reason.")]
    sentences += [_entry(entry, names) for entry in item["reason"].get("entries", [])]
    if is_meeting:
        sentences += _of_meeting(item, names, now)
    elif item["mail_class"] in _CLASSES:
        sentences.append(_CLASSES[item["mail_class"]])
    if item["ambiguous"]:
        sentences.append(
            "An address or domain in it has several owners in the directory; all of them are listed here."
        )
    if item["copies"] > 1:
        places = "calendars" if is_meeting else "mailboxes or folders"
        sentences.append(f"It was found in {item['copies']} {places} and counts once.")
    return sentences


def show_left_out(request: Request, names: _Naming) -> Response | None:
    """The page of an item that is in no number; None for other roles, and when there is no such item."""
    user, parts = signed_in_of(request).session.user, parts_of(request)
    if parts.left_out is None or user.role not in _MAY_OPEN:
        return None
    item = parts.left_out.item(user.tenant, request.path_params["item_id"], parts.clock.now(), user.id)
    if item is None:
        return None
    values = {
        "item": item,
        "people": [
            (person["address"], roles_of(person), _standing(person, names)) for person in item["people"]
        ],
        "timezone": parts.impact.timezone(user.tenant),
    }
    return page(request, "why.html", values)


def _standing(person: Mapping[str, Any], names: _Naming) -> str:
    """What the directory knows of somebody, with names for ids."""
    known = [
        f"{kind} {', '.join(names.of(kind, subject) for subject in person[field])}"
        for field, kind in _KNOWN_AS
        if person.get(field)
    ]
    if person.get("excluded_by"):
        known.append("excluded")
    return (
        "; ".join([person["standing"], *known])
        if known or person["standing"] != "external"
        else "not in the directory"
    )


def _of_meeting(item: Mapping[str, Any], names: _Naming, now: datetime) -> list[str]:
    sentences = []
    if item["cancelled"]:
        sentences.append("It was cancelled, so it is not counted.")
    elif item["at"] is not None and datetime.fromisoformat(item["at"]) >= now:
        sentences.append("It has not started yet: it is planned, and counts from its start on.")
    sentences += [
        f"{names.of('member', who)} declined, so it does not count in that row."
        for who in item["declined_members"]
    ]
    if item["private"]:
        sentences.append("It is private: Its title, place and text are shown nowhere.")
    return sentences


def _entry(entry: Mapping[str, str], names: _Naming) -> str:
    owner = names.of(entry.get("kind", ""), entry.get("id", ""))
    if "domain" in entry:
        return f"{entry['domain']} is a domain of {owner}."
    return f"{entry.get('address', 'An address in it')} is an address of {owner}."
