"""Microsoft Graph and Entra as they behave, for tests: an ASGI application and the handle that controls it."""

from graph.agenda import Calendar, Guest, Meeting, Recurrence
from graph.clock import ManualClock
from graph.journal import Quirks
from graph.letters import Letter
from graph.mailbox import Mailbox
from graph.push import PushQuirks
from graph.simulator import Simulator

__all__ = [
    "Calendar",
    "Guest",
    "Letter",
    "Mailbox",
    "ManualClock",
    "Meeting",
    "PushQuirks",
    "Quirks",
    "Recurrence",
    "Simulator",
]
