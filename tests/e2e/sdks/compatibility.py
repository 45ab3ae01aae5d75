"""The README's table of SDKs, drawn from what the trials saw: change it there by what the failing test prints."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

from leadscore_cli.project import find_project
from tests.e2e.sdks.calls import SCORE
from tests.e2e.sdks.flaky_door import RETRY_AFTER_SECONDS
from tests.e2e.sdks.trial import Scenario, Sdk, Trial, Trials

PLAIN, LEFT = Scenario("plain"), Scenario("left", is_left=True)
THROTTLED = Scenario("throttled", faults=("throttled",))
UNAVAILABLE = Scenario("unavailable", faults=("unavailable",))
LOST = Scenario("lost", faults=("answer lost",))
WRONG_KEY = Scenario("wrong key", wrong_key=True)

_COLUMNS = ("SDK", "version", "calls", "sends", "after 429", "after 5xx", "after a lost answer", "with a wrong key")


def draw_table(trials: Trials, sdks: Sequence[Sdk]) -> str:
    """Return the table in Markdown, one line an SDK."""
    rows = [_COLUMNS, ("---",) * len(_COLUMNS), *(tuple(_row(trials, sdk)) for sdk in sdks)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def waited_as_told(trial: Trial) -> bool:
    """Return whether what was throttled came again no sooner than `Retry-After` said."""
    [first] = trial.refused()
    again = next(seen for seen in trial.deliveries() if seen.at > first.at and seen.ids() & first.ids())
    return again.at - first.at >= RETRY_AFTER_SECONDS


def _row(trials: Trials, sdk: Sdk) -> Iterator[str]:
    plain = trials.run(sdk, PLAIN)
    yield f"`{sdk.package}`"
    yield _installed_version(sdk)
    yield "all six" if sdk.has_screen else "all but `screen`"
    yield _way_of_sending(plain)
    yield _counted(trials.run(sdk, THROTTLED)) + (", waits for `Retry-After`" if sdk.waits_as_told else ", waits less")
    yield _counted(trials.run(sdk, UNAVAILABLE))
    yield _counted(trials.run(sdk, LOST))
    yield "callback" if any(trials.run(sdk, WRONG_KEY).run.outcomes.values()) else "console"


def _installed_version(sdk: Sdk) -> str:
    if sdk.driver[0].endswith(".py"):
        return version(sdk.package)
    manifest = Path(find_project(), "node_modules", sdk.package, "package.json")
    return str(json.loads(manifest.read_text(encoding="utf-8"))["version"])


def _way_of_sending(trial: Trial) -> str:
    first = trial.deliveries()[-1]
    unit = "batches" if "batch" in first.content() else "one by one"
    kind = first.headers["content-type"].partition(";")[0]
    return f"{unit}, `{kind}`" + (", gzip" if first.is_gzip() else "")


def _counted(trial: Trial) -> str:
    return "counts once" if trial.score == SCORE else "can count twice"
