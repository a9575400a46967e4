"""graph.microsoft.com/v1.0: who asks, whether the token is good for it, and the answer, held against Graph's schema."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Final

from graph.calendar_api import CalendarApi
from graph.clock import Clock, instant
from graph.delta import Cursors
from graph.directory import Directory, Grant
from graph.faults import Faults, claims_challenge
from graph.identifiers import guid
from graph.mail_api import MailApi
from graph.mailbox import Mailbox
from graph.paging import paged
from graph.query import names, only, page_size
from graph.routes import Apis, route, segments
from graph.schema import GraphSchema
from graph.subscriptions import Subscriptions
from graph.throttle import Throttle
from graph.wire import Answer, Ask, Json, Refusal

_WIDER: Final = {"Mail.Read": {"Mail.ReadWrite"}, "Calendars.Read": {"Calendars.ReadWrite"}}
LOOP: Final = 3
"""A token that was challenged this often and comes again is in a loop."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request as the log has it. `part` says that it came in a batch."""

    at: float
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    status: int
    mailbox: str
    part: bool


@dataclass
class GraphApi:
    """Answers single requests; batches and connections are the server's."""

    directory: Directory
    clock: Clock
    schema: GraphSchema
    cursors: Cursors
    faults: Faults
    throttle: Throttle
    subscriptions: Subscriptions
    violations: list[str]
    calls: list[Call] = field(default_factory=list)
    _challenged: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._rng = random.Random(f"{self.directory.seed} graph")

    def whose(self, ask: Ask) -> Mailbox | None:
        """The mailbox that a request counts for, None where it is of none."""
        try:
            return self._target(ask, self._grant(ask), segments(ask.path))[0]
        except Refusal:
            return None

    def handle(self, ask: Ask, *, part: bool = False) -> Answer:
        """One request; refusals have become answers, and the call stands in the log."""
        mailbox = self.whose(ask)
        try:
            answer = self._answer(ask, mailbox, part=part)
        except Refusal as refusal:
            answer = self.refused(refusal)
        return answer if answer.settle else self._logged(ask, mailbox, answer, part=part)

    def refused(self, refusal: Refusal) -> Answer:
        """An error body as Graph writes it."""
        inner: Json = {
            "date": instant(self.clock())[:-1],
            "request-id": guid(self._rng),
            "client-request-id": guid(self._rng),
        }
        if refusal.inner:
            inner["code"] = refusal.inner
        body = {"error": {"code": refusal.code, "message": refusal.message, "innerError": inner}}
        return Answer(refusal.status, body, dict(refusal.headers))

    def check_grant(self, ask: Ask) -> Grant:
        """What the token of a request stands for; `Refusal` 401 for one that is no good."""
        return self._grant(ask)

    def note(self, ask: Ask, answer: Answer, *, part: bool = False) -> Answer:
        """Writes a call into the log whose answer came from elsewhere."""
        return self._logged(ask, self.whose(ask), answer, part=part)

    def _answer(self, ask: Ask, mailbox: Mailbox | None, *, part: bool) -> Answer:
        fault = self.faults.answer(ask, mailbox, self.clock(), part=part)
        if fault is not None and fault.status:
            return fault
        if mailbox is not None:
            self.throttle.check(mailbox.id)
        answer = self._found(ask)
        answer.delay = fault.delay if fault else 0.0
        return answer

    def _found(self, ask: Ask) -> Answer:
        self._check_preference(ask)
        grant = self._grant(ask)
        parts = segments(ask.path)
        if parts == ["users"]:
            return self._users(ask, grant)
        if parts[:1] == ["subscriptions"]:
            return self.subscriptions.answer(ask, grant, parts[1:])
        mailbox, root, rest = self._target(ask, grant, parts)
        if mailbox is None:
            raise Refusal(
                400, "BadRequest", f"Resource not found for the segment '{parts[0] if parts else ''}'."
            )
        self._check_claims(ask, grant, mailbox)
        if not rest:
            return Answer(200, _user(mailbox))
        handler, ids, entity, scope = route(ask.method, rest)
        self._check_scope(grant, mailbox, scope)
        answer = handler(
            Apis(MailApi(mailbox, self.cursors, root), CalendarApi(mailbox, self.cursors, root)), ask, ids
        )
        self._check_shape(answer, entity)
        return answer

    def _grant(self, ask: Ask) -> Grant:
        token = ask.headers.get("authorization", "").removeprefix("Bearer ")
        grant = self.directory.grant(token)
        if grant is None:
            raise Refusal(401, "InvalidAuthenticationToken", "Access token has expired or is not yet valid.")
        return grant

    def _target(self, ask: Ask, grant: Grant, parts: list[str]) -> tuple[Mailbox | None, str, list[str]]:
        """(mailbox, its root in links, the path below)."""
        if parts and parts[0].lower() == "me":
            if grant.mailbox is None:
                raise Refusal(
                    400, "BadRequest", "/me request is only valid with delegated authentication flow."
                )
            return grant.mailbox, "me", parts[1:]
        if len(parts) > 1 and parts[0].lower() == "users":
            return self._user_of(grant, parts[1]), f"users('{parts[1]}')", parts[2:]
        return None, "", parts

    def _user_of(self, grant: Grant, named: str) -> Mailbox:
        mailbox = self.directory.mailbox_of(named)
        if mailbox is None or mailbox.tenant != grant.tenant:
            raise Refusal(404, "Request_ResourceNotFound", f"Resource '{named}' does not exist.")
        if grant.mailbox is not None and grant.mailbox is not mailbox:
            raise Refusal(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
        return mailbox

    def _check_scope(self, grant: Grant, mailbox: Mailbox, scope: str) -> None:
        if not ({scope} | _WIDER.get(scope, set())) & grant.scopes:
            raise Refusal(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
        company = self.directory.of_tenant(mailbox.tenant)
        reached = company.application_reaches if company else None
        if grant.mailbox is None and reached is not None and mailbox.address not in reached:
            raise Refusal(403, "ErrorAccessDenied", "Access to OData is disabled.")

    def _check_claims(self, ask: Ask, grant: Grant, mailbox: Mailbox) -> None:
        """Continuous access evaluation: the same token again and again is the classic loop."""
        if not mailbox.claims or mailbox.claims in grant.claims:
            return
        token = ask.headers["authorization"]
        self._challenged[token] = self._challenged.get(token, 0) + 1
        if self._challenged[token] > LOOP:
            self.violations.append(f"a challenged token came {self._challenged[token]} times")
        raise claims_challenge(
            f'{{"access_token":{{"nbf":{{"essential":true,"value":"{mailbox.claims}"}}}}}}'
        )

    def _check_preference(self, ask: Ask) -> None:
        if ask.prefers().get("idtype", "").lower() != "immutableid":
            self.violations.append(f"no immutable ids: {ask.method} {ask.path}")

    def _check_shape(self, answer: Answer, entity: str) -> None:
        if not isinstance(answer.body, dict) or not entity:
            return
        values = answer.body.get("value")
        for one in values if isinstance(values, list) else [answer.body]:
            self.schema.check({name: part for name, part in one.items() if name != "@removed"}, entity)

    def _users(self, ask: Ask, grant: Grant) -> Answer:
        """Everybody of the tenant, for an application that may see them."""
        if "User.Read.All" not in grant.scopes:
            raise Refusal(
                403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation."
            )
        parameters = only(ask, ("select", "top", "skip", "filter", "count"))
        company = self.directory.of_tenant(grant.tenant)
        users = [_user(one) for one in company.mailboxes.values()] if company else []
        select = names(parameters.get("select"))
        values = [
            {name: value for name, value in user.items() if select is None or name in select or name == "id"}
            for user in users
        ]
        return paged(ask, parameters, values, page_size(ask, parameters, 100))

    def _logged(self, ask: Ask, mailbox: Mailbox | None, answer: Answer, *, part: bool) -> Answer:
        answer.headers.setdefault("request-id", guid(self._rng))
        answer.headers.setdefault(
            "client-request-id", ask.headers.get("client-request-id", answer.headers["request-id"])
        )
        answer.headers.setdefault("Date", formatdate(self.clock(), usegmt=True))
        if ask.prefers().get("idtype", "").lower() == "immutableid":
            answer.headers.setdefault("Preference-Applied", 'IdType="ImmutableId"')
        address = mailbox.address if mailbox else ""
        self.calls.append(
            Call(
                self.clock(),
                ask.method,
                ask.path,
                dict(ask.query),
                dict(ask.headers),
                answer.status,
                address,
                part,
            )
        )
        return answer


def _user(mailbox: Mailbox) -> Json:
    return {
        "id": mailbox.id,
        "displayName": mailbox.name,
        "mail": mailbox.address,
        "userPrincipalName": mailbox.address,
    }
