"""The floor: errors, clock, ids and the protocols that rooms share. Standard library only."""
