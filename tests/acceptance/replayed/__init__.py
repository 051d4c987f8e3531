"""Recorded blocks as places to trade in: the state before each transaction, the pools as the search sees them, routes as bundles, and nodes."""
