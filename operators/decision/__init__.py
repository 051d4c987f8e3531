"""Decisions: what is chosen for each event, under which limits, and why nothing was when nothing was."""
