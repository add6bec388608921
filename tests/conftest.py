"""How all property tests run: as slow as the machine makes them, and to be repeated when they fail.

Loaded before any test module, so that a test's own `settings` start from these.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# The first run, with nothing cached, on a busy machine takes long to make its examples: that tells
# of the machine, not of the code.
settings.register_profile(
    "coord", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("coord")
