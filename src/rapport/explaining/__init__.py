"""Why something is in the numbers, or is not: the stored decision, what is sealed of it, and the directory put together."""
