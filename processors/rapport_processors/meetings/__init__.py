"""Contract part 5: calendar copies become meetings. Pure."""
