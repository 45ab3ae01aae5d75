"""For every test: credentials that are none, one region, and no settings of whoever runs them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}

# Taken over where the terminal's width is asked for once, before a test can say its own.
for _size in ("COLUMNS", "LINES"):
    os.environ.pop(_size, None)  # noqa: TID251

# One process has the stack, and what measures whole processes beside it.
TOGETHER = {"e2e", "package"}


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Where tests run in several processes, keep those of a file, or of a stack, in one."""
    for item in items:
        place = item.path.relative_to(Path(__file__).parent)
        item.add_marker(pytest.mark.xdist_group("stack" if place.parts[0] in TOGETHER else str(place)))


@pytest.fixture(autouse=True)
def fake_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):  # noqa: TID251
        if name.startswith(("AWS_", "POWERTOOLS_", "LEADSCORE_")):
            monkeypatch.delenv(name)
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
