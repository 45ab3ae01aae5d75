"""Texts that nobody can guess: what an alert's links carry, so that only who has the alert may judge it."""

from __future__ import annotations

import os

_BYTES = 24


def new_token() -> str:
    """Return 48 random hex digits."""
    return os.urandom(_BYTES).hex()
