"""Process modules that only start and stop, for tests of the supervisor."""
