"""Mail, pure: header bytes become a parsed copy, copies become messages. No I/O, no clock, no settings."""
