"""How many examples each law is given.

The default profile draws the same examples on every run, so that a red run means a change and never bad luck; the
`thorough` profile draws new ones and many more. Choose it with `--hypothesis-profile=thorough` when running this
folder, or with HYPOTHESIS_PROFILE=thorough from anywhere.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "laws",
    max_examples=100,
    deadline=None,
    derandomize=True,
    print_blob=True,
    # A ruleset and a history are large values, and every example is a whole scoring run.
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.register_profile("thorough", settings.get_profile("laws"), max_examples=3_000, derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "laws"))  # noqa: TID251 - a switch of the tests alone
