"""Microsoft Graph and Entra as they behave, for tests: an ASGI application and the handle that controls it."""

from graph.clock import ManualClock
from graph.journal import Quirks
from graph.letters import Letter
from graph.mailbox import Mailbox
from graph.simulator import Simulator

__all__ = ["Letter", "Mailbox", "ManualClock", "Quirks", "Simulator"]
