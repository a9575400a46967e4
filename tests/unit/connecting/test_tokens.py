"""Tokens of connections: young ones remembered, new ones saved before they are used, revoking noticed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from rapport.connecting.credential import Credential
from rapport.connecting.mailbox import LoopTokens, MicrosoftMailbox
from rapport.connecting.tokens import SECONDS_UNTIL_REVOKING_IS_NOTICED, Tokens
from rapport_core.errors import InvariantError, UnavailableError
from rapport_producers.graph.errors import AdminNeeded, SignInNeeded, Transient
from rapport_producers.microsoft_sign_in import Token
from rapport_producers.microsoft_sign_in_errors import Kind, SignInError

ANNA = Credential("delegated", "oid-anna", "tid", ("Mail.Read", "openid", "MailboxSettings.Read"), "cache-0")
ROOM = Credential("application", "anna@acme.com", "tid", ())


class FakeVault:
    """A vault in memory."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], bytes] = {}

    def get(self, tenant: str, connection: str, /) -> bytes | None:
        return self.kept.get((tenant, connection))

    def put(self, tenant: str, connection: str, secret: bytes) -> None:
        self.kept[tenant, connection] = secret

    def replace(self, tenant: str, connection: str, before: bytes, after: bytes, /) -> bool:
        if self.kept.get((tenant, connection)) != before:
            return False
        self.kept[tenant, connection] = after
        return True


class FakeLocks:
    """Leases over the threads of this test."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.names: list[str] = []

    @contextmanager
    def held(self, name: str, /) -> Iterator[None]:
        with self.lock:
            self.names.append(name)
            yield


@dataclass
class RotatingSignIn:
    """Gives each cache one successor, and refuses one that was used."""

    at: list[float]
    used: set[str] = field(default_factory=set)
    asked: list[tuple[str, str | None, str | None, list[str]]] = field(default_factory=list)
    error: SignInError | None = None

    def token(
        self,
        cache: str,
        scopes: Sequence[str] = (),
        claims: str | None = None,
        *,
        refused: str | None = None,
    ) -> Token:
        self.asked.append((cache, claims, refused, list(scopes)))
        if self.error is not None:
            raise self.error
        assert cache not in self.used, "a refresh token was used twice"
        self.used.add(cache)
        number = int(cache.partition("-")[2]) + 1
        return Token(f"token-{number}", self.at[0] + 3600, f"cache-{number}")

    def application_token(
        self, microsoft_tenant: str, claims: str | None = None, *, refused: str | None = None
    ) -> Token:
        self.asked.append((microsoft_tenant, claims, refused, []))
        return Token(f"app-{len(self.asked)}", self.at[0] + 3600)


@pytest.fixture
def at() -> list[float]:
    """The time, in seconds."""
    return [1000.0]


@pytest.fixture
def vault() -> FakeVault:
    vault = FakeVault()
    vault.put("acme", "c1", ANNA.to_bytes())
    return vault


@pytest.fixture
def sign_in(at: list[float]) -> RotatingSignIn:
    return RotatingSignIn(at)


@pytest.fixture
def locks() -> FakeLocks:
    return FakeLocks()


@pytest.fixture
def tokens(vault: FakeVault, locks: FakeLocks, sign_in: RotatingSignIn, at: list[float]) -> Tokens:
    return Tokens(vault, locks, sign_in, now=lambda: at[0], monotonic=lambda: at[0])


def kept(vault: FakeVault) -> Credential:
    return Credential.from_bytes(vault.kept["acme", "c1"])


def test_a_young_token_is_remembered(tokens: Tokens, sign_in: RotatingSignIn, at: list[float]) -> None:
    assert tokens.token("acme", "c1") == "token-1"
    at[0] += 3200
    assert tokens.token("acme", "c1") == "token-1"
    at[0] += 150
    assert tokens.token("acme", "c1") == "token-2"
    assert [cache for cache, *_ in sign_in.asked] == ["cache-0", "cache-1"]


def test_it_is_asked_for_what_was_granted_of_graph(tokens: Tokens, sign_in: RotatingSignIn) -> None:
    tokens.token("acme", "c1")
    assert sign_in.asked[0][3] == ["Mail.Read", "MailboxSettings.Read"]


def test_a_new_refresh_token_is_kept_before_the_token_is_used(tokens: Tokens, vault: FakeVault) -> None:
    tokens.token("acme", "c1")
    assert kept(vault) == replace(ANNA, cache="cache-1")


def test_a_token_that_could_not_be_kept_is_not_used(
    tokens: Tokens, vault: FakeVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise UnavailableError("the disk is full")

    monkeypatch.setattr(vault, "replace", broken)
    with pytest.raises(UnavailableError):
        tokens.token("acme", "c1")
    assert tokens.remembered("acme", "c1") is None


def test_revoking_while_microsoft_is_asked_holds(
    tokens: Tokens, vault: FakeVault, sign_in: RotatingSignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer that comes later brings nothing back."""
    ask = sign_in.token

    def revoked_meanwhile(*arguments: Any, **options: Any) -> Token:
        vault.kept.clear()
        return ask(*arguments, **options)

    monkeypatch.setattr(sign_in, "token", revoked_meanwhile)
    with pytest.raises(SignInError, match="connect again"):
        tokens.token("acme", "c1")
    assert vault.kept == {}
    assert tokens.remembered("acme", "c1") is None


def test_connecting_anew_while_microsoft_is_asked_holds(
    tokens: Tokens, vault: FakeVault, sign_in: RotatingSignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask, anew = sign_in.token, iter([replace(ANNA, cache="cache-70")])

    def connected_meanwhile(*arguments: Any, **options: Any) -> Token:
        for credential in anew:
            vault.put("acme", "c1", credential.to_bytes())
        return ask(*arguments, **options)

    monkeypatch.setattr(sign_in, "token", connected_meanwhile)
    assert tokens.token("acme", "c1") == "token-71"
    assert kept(vault).cache == "cache-71"


def test_a_process_that_died_before_it_kept_the_answer_costs_nothing(
    tokens: Tokens, vault: FakeVault, at: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Microsoft still accepts the refresh token from before; where it does not, the member is told to connect again."""

    class Died(BaseException):
        pass

    def die(*_: object) -> None:
        raise Died

    with monkeypatch.context() as dying:
        dying.setattr(vault, "replace", die)
        with pytest.raises(Died):
            tokens.token("acme", "c1")
    for error in (None, SignInError("needs_auth", "sign_in", "connect again")):
        service = RotatingSignIn(at, error=error)
        successor = Tokens(vault, FakeLocks(), service, now=lambda: at[0], monotonic=lambda: at[0])
        if error is None:
            assert successor.token("acme", "c1") == "token-1"
            continue
        at[0] += 4000
        with pytest.raises(SignInError, match="connect again"):
            successor.token("acme", "c1")


def test_a_refused_token_is_not_given_again(tokens: Tokens, sign_in: RotatingSignIn) -> None:
    assert tokens.token("acme", "c1") == "token-1"
    assert tokens.token("acme", "c1", refused="token-1") == "token-2"
    assert tokens.token("acme", "c1", refused="token-1") == "token-2"
    assert sign_in.asked[1][2] == "token-1"


def test_a_challenge_gets_a_new_token(tokens: Tokens, sign_in: RotatingSignIn) -> None:
    tokens.token("acme", "c1")
    assert tokens.token("acme", "c1", claims="{}") == "token-2"
    assert sign_in.asked[1][1] == "{}"


def test_requests_that_were_challenged_together_share_the_new_token(
    tokens: Tokens, sign_in: RotatingSignIn
) -> None:
    """Another challenge, or the same for the token that answers it, is not answered yet."""
    old = tokens.token("acme", "c1")
    assert [tokens.token("acme", "c1", refused=old, claims="{}") for _ in range(4)] == ["token-2"] * 4
    assert len(sign_in.asked) == 2
    assert tokens.token("acme", "c1", refused="token-2", claims="{}") == "token-3"
    assert tokens.token("acme", "c1", refused="token-2", claims='{"a":{}}') == "token-4"


def test_processes_take_turns_and_none_uses_a_token_twice(
    vault: FakeVault, locks: FakeLocks, sign_in: RotatingSignIn, at: list[float]
) -> None:
    """Two processes, each with several threads, whose tokens ran out at the same moment."""
    processes = [Tokens(vault, locks, sign_in, now=lambda: at[0], monotonic=lambda: at[0]) for _ in range(2)]
    barrier, found = threading.Barrier(8), []

    def ask(number: int) -> None:
        barrier.wait(10)
        found.append(processes[number % 2].token("acme", "c1"))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(found) == 8
    assert len(sign_in.used) == 2
    assert set(locks.names) == {"connection acme/c1"}


def test_revoking_elsewhere_is_noticed(tokens: Tokens, vault: FakeVault, at: list[float]) -> None:
    tokens.token("acme", "c1")
    vault.kept.clear()
    at[0] += SECONDS_UNTIL_REVOKING_IS_NOTICED
    assert tokens.remembered("acme", "c1") is None
    with pytest.raises(SignInError, match="connect again") as caught:
        tokens.token("acme", "c1")
    assert caught.value.kind == "needs_auth"


def test_connecting_again_elsewhere_is_noticed(tokens: Tokens, vault: FakeVault, at: list[float]) -> None:
    tokens.token("acme", "c1")
    vault.put("acme", "c1", replace(ANNA, cache="cache-41").to_bytes())
    at[0] += SECONDS_UNTIL_REVOKING_IS_NOTICED
    assert tokens.token("acme", "c1") == "token-42"


def test_application_tokens_need_no_lease(tokens: Tokens, vault: FakeVault, locks: FakeLocks) -> None:
    vault.put("acme", "c2", ROOM.to_bytes())
    assert tokens.token("acme", "c2") == "app-1"
    assert tokens.token("acme", "c2") == "app-1"
    assert tokens.token("acme", "c2", refused="app-1") == "app-2"
    assert locks.names == []


def test_where_an_account_is_in_graph() -> None:
    assert ANNA.root == "/me"
    assert replace(ROOM, account="a/b#c@acme.com").root == "/users/a%2Fb%23c%40acme.com"


def test_a_credential_comes_back_as_it_was_and_shows_no_secret() -> None:
    assert Credential.from_bytes(ANNA.to_bytes()) == ANNA
    assert "cache-0" not in repr(ANNA)
    with pytest.raises(InvariantError, match="damaged"):
        Credential.from_bytes(b'{"access": "delegated"}')


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("needs_auth", SignInNeeded),
        ("needs_admin", AdminNeeded),
        ("unavailable", Transient),
        ("operator", SignInError),
    ],
)
def test_a_mailbox_tells_why_there_is_no_token(
    tokens: Tokens, sign_in: RotatingSignIn, kind: Kind, expected: type[Exception]
) -> None:
    """What is the operator's fault stays apart: it must flip no account."""
    sign_in.error = SignInError(kind, "some_code", "some sentence", after_s=7.5)
    mailbox = MicrosoftMailbox("acme", "c1", "/me", LoopTokens(tokens))
    with pytest.raises(expected) as caught:
        asyncio.run(mailbox.token())
    if isinstance(caught.value, Transient):
        assert caught.value.after_s == 7.5
    else:
        assert "some sentence" in str(caught.value)


def test_a_mailbox_gives_tokens(tokens: Tokens) -> None:
    mailbox = MicrosoftMailbox("acme", "c1", "/me", LoopTokens(tokens))
    assert asyncio.run(mailbox.token()) == "token-1"
    assert asyncio.run(mailbox.token()) == "token-1"
    assert asyncio.run(mailbox.token(refused="token-1")) == "token-2"


def test_the_mailbox_is_that_of_the_credential(vault: FakeVault, tokens: Tokens, at: list[float]) -> None:
    """A record in a topic says whose account it is, too, but must not lead an organisation's token to another mailbox."""
    assert tokens.root("acme", "c1") == "/me"
    assert tokens.root("acme", "c2") == "/me"
    vault.put("acme", "c2", ROOM.to_bytes())
    assert tokens.root("acme", "c2") == "/users/anna%40acme.com"
    vault.put("acme", "c1", ROOM.to_bytes())
    at[0] += SECONDS_UNTIL_REVOKING_IS_NOTICED
    tokens.token("acme", "c1")
    assert tokens.root("acme", "c1") == "/users/anna%40acme.com"


def test_who_connects_anew_has_root_and_token_at_once(vault: FakeVault, tokens: Tokens) -> None:
    """Without waiting until it is noticed: one account's root with another's token would be refused."""
    assert (tokens.root("acme", "c1"), tokens.token("acme", "c1")) == ("/me", "token-1")
    vault.put("acme", "c1", ROOM.to_bytes())
    tokens.reread("acme", "c1")
    assert tokens.root("acme", "c1") == "/users/anna%40acme.com"
    assert tokens.remembered("acme", "c1") is None
    assert tokens.token("acme", "c1").startswith("app-")


def test_an_account_that_waits_for_its_token_holds_up_no_other(vault: FakeVault, at: list[float]) -> None:
    """However many of its requests wait, and however few threads the machine has for everything."""
    vault.put("acme", "c2", replace(ANNA, cache="cache-10").to_bytes())
    goes_on = threading.Event()

    class SlowForOne(FakeLocks):
        @contextmanager
        def held(self, name: str, /) -> Iterator[None]:
            if name.endswith("/c1"):
                assert goes_on.wait(60)
            yield

    tokens = LoopTokens(
        Tokens(vault, SlowForOne(), RotatingSignIn(at), now=lambda: at[0], monotonic=lambda: at[0])
    )

    async def work() -> None:
        waiting = [asyncio.ensure_future(tokens.token("acme", "c1")) for _ in range(200)]
        await asyncio.sleep(0)
        try:
            assert await tokens.token("acme", "c2") == "token-11"
            assert await asyncio.to_thread(str, 1) == "1"
            assert not any(one.done() for one in waiting)
        finally:
            goes_on.set()
        assert set(await asyncio.gather(*waiting)) == {"token-1"}

    asyncio.run(work())
