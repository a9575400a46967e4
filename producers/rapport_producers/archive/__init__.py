"""The archive connector: mbox, Maildir and .eml files into pages of the raw log."""
