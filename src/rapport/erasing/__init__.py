"""Disconnecting for good: a connection's content leaves every answer at once, and every disk within a day."""
