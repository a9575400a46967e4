"""The directory's way from a file into the compacted topic, and back out of it."""
