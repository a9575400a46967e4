"""Whatever happens to a mailbox, to Graph and to the connector: in the end what is held is what is there.

The mailbox changes in every way, Graph tells it late, twice, in any order or not at all, answers faults and forgets cursors, and the connector dies
between any two steps. Then it is quiet, and the connector looks once more, without a sweep: so no cursor ever passed a
change that was not published.
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, rule

from graph.journal import Quirks
from graph.letters import Letter
from graph_holdings import HeldItems
from graph_lab import ADDRESS, DAY, GraphLab
from memory_connection_log import CrashError

EXCLUDED = ("junkemail", "deleteditems")
PLACES = ("inbox", "archive", "sentitems", *EXCLUDED)
CURSORS_LOST = ("gone", "gone_with_location", "gone_inside", "sync_state_invalid")


class Countdown:
    """Crashes at a step that is still so many steps away."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def step(self, *_: Any) -> None:
        """One request or record more."""
        self.left -= 1
        if self.left < 0:
            raise CrashError


def quiet(*_: Any) -> None:
    """Nothing happens at this step."""


class MailboxMachine(RuleBasedStateMachine):
    """One mailbox and its connection; a rule is something that happens to either."""

    messages = Bundle("messages")
    folders = Bundle("folders")

    @initialize(seed=st.integers(0, 1000), wild=st.booleans())
    def begin(self, seed: int, wild: bool) -> None:
        self.lab = GraphLab(seed, Quirks.wild() if wild else Quirks())
        self.box, self.count = self.lab.box, 0
        self.held = HeldItems(self.lab.log, seed)

    def _letter(self) -> Letter:
        self.count += 1
        name = f"mail {self.count}"
        return Letter("bo@kund.example", (ADDRESS,), name, message_id=f"<{self.count}@kund.example>")

    def _is_there(self, key: str) -> bool:
        return key in self.box.items

    def _folder(self, folder: str) -> str:
        return folder if folder in PLACES or folder in self.box.folders else "inbox"

    # -- the mailbox --------------------------------------------------------------------------------------------

    @rule(target=messages, folder=st.sampled_from(PLACES), days=st.sampled_from((0, 0, 1, 170, 300)))
    def deliver(self, folder: str, days: int) -> str:
        return self.box.deliver(self._letter(), folder, at=self.lab.clock() - days * DAY)

    @rule(target=messages, folder=folders)
    def deliver_to(self, folder: str) -> str:
        return self.box.deliver(self._letter(), self._folder(folder))

    @rule(target=messages)
    def draft(self) -> str:
        return self.box.draft(self._letter())

    @rule(target=messages, key=messages)
    def send(self, key: str) -> str:
        if self._is_there(key) and self.box.items[key].draft:
            return self.box.send_draft(key)
        return key

    @rule(
        key=messages,
        folder=st.one_of(st.sampled_from(PLACES), folders),
        how=st.sampled_from(("told", "quietly", "twice")),
    )
    def move(self, key: str, folder: str, how: str) -> None:
        if self._is_there(key) and not self.box.items[key].draft:
            told = how != "quietly"
            self.box.move(key, self._folder(folder), announce_target=told, twice=how == "twice")

    @rule(key=messages, folder=st.sampled_from(PLACES))
    def move_and_back(self, key: str, folder: str) -> None:
        if self._is_there(key) and not self.box.items[key].draft:
            self.box.move_and_back(key, folder)

    @rule(key=messages, reason=st.sampled_from(("deleted", "changed")))
    def delete(self, key: str, reason: str) -> None:
        if self._is_there(key):
            self.box.delete(key, reason=reason)

    @rule(key=messages)
    def touch(self, key: str) -> None:
        if self._is_there(key):
            self.box.mark_read(key)

    @rule(key=messages)
    def rewrite(self, key: str) -> None:
        if self._is_there(key):
            self.box.rewrite(key, self._letter())

    @rule(target=folders, parent=st.one_of(st.sampled_from(PLACES), folders))
    def new_folder(self, parent: str) -> str:
        self.count += 1
        return self.box.folder(f"folder {self.count}", self._folder(parent))

    @rule(folder=folders, parent=st.sampled_from(("msgfolderroot", *PLACES)))
    def move_folder(self, folder: str, parent: str) -> None:
        if folder in self.box.folders:
            self.box.move_folder(folder, parent)

    @rule(folder=folders)
    def delete_folder(self, folder: str) -> None:
        if folder in self.box.folders:
            self.box.delete_folder(folder)

    # -- Graph --------------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from((1.0, 20.0, 4_000.0, DAY)))
    def later(self, seconds: float) -> None:
        self.lab.clock.advance(seconds)

    @rule(how=st.sampled_from(CURSORS_LOST), inbox_only=st.booleans())
    def forget_cursors(self, how: str, inbox_only: bool) -> None:
        self.box.forget_cursors("inbox" if inbox_only else None, how)

    @rule(share=st.sampled_from((0.0, 0.05, 0.2)))
    def faults(self, share: float) -> None:
        self.lab.simulator.faults.rate(share)

    # -- the connector ------------------------------------------------------------------------------------------

    @rule(first=st.booleans())
    def look(self, first: bool) -> None:
        self._attempt(first=first)

    @rule(first=st.booleans(), steps=st.integers(0, 60))
    def look_and_crash(self, first: bool, steps: int) -> None:
        """Between any two requests or records; of a record that was sent nobody knows whether it arrived."""
        countdown = Countdown(steps)
        self.lab.before_get, self.lab.log.before_send = countdown.step, countdown.step
        try:
            self._attempt(first=first)
        except CrashError:
            self.lab.crash()
        finally:
            self.lab.before_get, self.lab.log.before_send = quiet, quiet

    @rule()
    def sweep(self) -> None:
        self.lab.try_to(self.lab.sweep_mail)

    @rule()
    def crash(self) -> None:
        self.lab.crash()

    def _attempt(self, *, first: bool) -> None:
        self.lab.try_to(self.lab.connect_mail if first else self.lab.poll_mail)

    # -- the end ------------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        if not hasattr(self, "lab"):
            return
        self.lab.simulator.faults.clear()
        self.lab.clock.advance(max(0.0, self.box.quiet_at() - self.lab.clock()) + 120.0)
        self.lab.connect_mail()
        self.lab.poll_mail()
        self.held.catch_up()
        self._compare()
        self.lab.sweep_mail()
        self.held.catch_up()
        self._compare()
        assert self.lab.simulator.violations == []

    def _compare(self) -> None:
        found = self.held.all()
        names = {self.held.row(key): item for key, item in self.box.items.items()}
        expected = {row: item.letter.subject for row, item in names.items() if self._is_collected(item)}
        assert {row: _subject(one.change) for row, one in found.items() if not one.gone} == expected
        junk = self.box.find("junkemail").id
        assert {row for row in found if row in names and names[row].folder == junk} <= {
            row for row, one in found.items() if one.gone == "junk"
        }

    def _is_collected(self, item: Any) -> bool:
        """A mail of the last half year in a place that is collected."""
        since = self.lab.since.timestamp()
        return not item.draft and item.received >= since and not self._is_excluded(item.folder)

    def _is_excluded(self, folder: str) -> bool:
        found = self.box.folders[folder]
        while found.parent:
            if found.well_known in (*EXCLUDED, "drafts", "outbox", "conversationhistory", "syncissues"):
                return True
            found = self.box.folders[found.parent]
        return False


def _subject(change: Any) -> str:
    return str(change["mail"]["structured"]["subject"])


TestMailbox = MailboxMachine.TestCase
TestMailbox.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
