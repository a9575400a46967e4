"""Where results are written for people to read."""
