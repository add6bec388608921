"""How all tests run, however pytest was started; loaded before any test module.

Property tests are as slow as the machine makes them, and to be repeated when they fail; a test's
own `settings` start from these.
"""

from __future__ import annotations

import contextlib
import signal

from hypothesis import HealthCheck, settings

# The first run, with nothing cached, on a busy machine takes long to make its examples: that tells
# of the machine, not of the code.
settings.register_profile(
    "coord", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("coord")

# A shell that runs pytest in the background lets it, and so every process that a test starts,
# ignore SIGINT: then none of them could be told to end as by Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    with contextlib.suppress(ValueError):  # not on the main thread
        signal.signal(signal.SIGINT, signal.default_int_handler)
