"""The calendar archive connector: .ics files into pages of the raw log."""
