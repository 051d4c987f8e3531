"""Property tests here are bounded by their number, not by the clock: the machine may be busy."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("relays", deadline=None)
settings.load_profile("relays")
