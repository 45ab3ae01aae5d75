"""What a cold start costs, next to what boto3 with one client costs in the same run.

Processor time of fresh processes, taken in turns, so that a busy machine moves both sides alike; medians of the
ratios. The bounds have room to spare: they catch a heavy import that slips in, not a few milliseconds.
"""

from __future__ import annotations

from pathlib import Path
from statistics import median

import pytest

from tests.package.built import ROOT, CleanInterpreter, function, layer

ROUNDS = 7
TIMED = ("ingest", "score", "notify", "api")
BARE = "boto3 with one client"
CORE = "the core"
SENDER = "a function that only sends to SQS"


@pytest.fixture(scope="module")
def costs(clean: CleanInterpreter) -> dict[str, float]:
    """Each start's median cost as a multiple of bare boto3's, above that of an interpreter that does nothing."""
    packages = layer().path / "python"
    starts: dict[str, tuple[str, list[Path]]] = {
        "nothing": ("pass", []),
        BARE: ("import boto3; boto3.client('dynamodb')", []),
        CORE: ("from leadscore import match, parse_ruleset, score_events", [packages]),
        SENDER: ("import os; os.environ['QUEUE_URL'] = 'q'; import handler", [ROOT / "benchmarks" / "bare"]),
        **{name: ("import handler", [function(name).path, packages]) for name in TIMED},
    }
    # Once untimed: what is installed here gets its bytecode on first import.
    for code, folders in starts.values():
        assert clean.run(code, *folders).errors == ""
    rounds = [
        {name: clean.run(code, *folders).cpu_seconds for name, (code, folders) in starts.items()} for _ in range(ROUNDS)
    ]
    return {
        name: median((each[name] - each["nothing"]) / (each[BARE] - each["nothing"]) for each in rounds)
        for name in (CORE, SENDER, *TIMED)
    }


@pytest.mark.parametrize(("name", "bound"), [("ingest", 1.8), ("score", 1.9), ("notify", 1.8), ("api", 2.1)])
def test_function_starts_at_a_bounded_multiple_of_boto3_alone(costs: dict[str, float], name: str, bound: float) -> None:
    assert costs[name] < bound


def test_ingest_starts_hardly_slower_than_what_only_sends(costs: dict[str, float]) -> None:
    assert costs["ingest"] < 1.3 * costs[SENDER]


def test_core_is_a_small_part_of_a_start(costs: dict[str, float]) -> None:
    assert costs[CORE] < 0.3


@pytest.mark.parametrize("name", ["ingest", "score", "api", "erase", "feedback"])
def test_functions_that_somebody_waits_for_start_without_heavy_packages(clean: CleanInterpreter, name: str) -> None:
    run = clean.run("import handler, sys\nprint(*sorted(sys.modules))", function(name).path, layer().path / "python")
    loaded = set(run.output.split())

    assert run.errors == ""
    assert "leadscore" in loaded
    assert (
        loaded
        & {
            "pydantic",
            "aws_xray_sdk",
            "ruamel.yaml",
            "crawleruseragents",
            "aws_lambda_powertools.event_handler",
            "aws_lambda_powertools.utilities.parameters",
            "aws_lambda_powertools.utilities.idempotency",
            "aws_lambda_powertools.utilities.parser",
        }
        == set()
    )
