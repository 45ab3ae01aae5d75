"""Whether what the service stands on can be read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Health:
    """What was checked, by name; None where it could be read, else why not, which is for the log alone."""

    checks: Mapping[str, Exception | None]

    @property
    def failed(self) -> list[str]:
        """The names of what cannot be read."""
        return [name for name, problem in self.checks.items() if problem is not None]

    def to_dict(self) -> dict[str, object]:
        """Return each check's outcome as plain JSON types."""
        outcomes = {name: "ok" if problem is None else "failed" for name, problem in self.checks.items()}
        return {"status": "failed" if self.failed else "ok", "checks": outcomes}


def check_health(checks: Mapping[str, Callable[[], object]]) -> Health:
    """Return the outcome of every check; one that raises has failed."""
    return Health({name: _problem_of(check) for name, check in checks.items()})


def _problem_of(check: Callable[[], object]) -> Exception | None:
    try:
        check()
    except Exception as problem:  # noqa: BLE001
        # Whatever it is, it is what a check is there to find.
        return problem
    return None
