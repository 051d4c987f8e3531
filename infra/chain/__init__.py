"""Clients of a chain's node, and the checked decoding of what it answers."""
