"""Property tests are bounded by their number, not by the clock: the machine may be busy, and stand still for seconds."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")
