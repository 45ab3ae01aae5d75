"""What the cost model assumes of the stacks is what they are made of."""

from __future__ import annotations

import pytest

from leadscore_cli.costs import ASSUMED, Function, Workload, count_alarms
from tests.infra.synthesized import Assembly, assemblies, assembly_of


@pytest.mark.parametrize(
    "name", ["ingest", "score", "notify", "api", "feedback", "cool", "digest", "nurture", "insights", "publish", "diff"]
)
def test_functions_are_costed_at_their_memory(name: str) -> None:
    functions = assembly_of("prod").properties("AWS::Lambda::Function")
    [built] = [each for key, each in functions.items() if key.startswith(f"{name.capitalize()}Function")]

    function = getattr(ASSUMED, name)
    assert isinstance(function, Function)
    assert built["MemorySize"] == function.memory * 1024


def test_alarms_are_costed() -> None:
    assert len(assembly_of("prod").properties("AWS::CloudWatch::Alarm")) == ASSUMED.alarms


def test_slack_is_costed_at_its_memory_and_its_alarms() -> None:
    guarded, plain = Assembly(assemblies() / "guarded", "dev"), assembly_of("dev")
    [slack] = [each for key, each in guarded.properties("AWS::Lambda::Function").items() if key == "SlackFunction"]
    added = set(guarded.resources("AWS::CloudWatch::Alarm")) - set(plain.resources("AWS::CloudWatch::Alarm"))
    two_routes = count_alarms(Workload(events=0, slack_routes=2)) - count_alarms(Workload(events=0))

    assert slack["MemorySize"] == ASSUMED.slack.memory * 1024
    assert len([name for name in added if name.startswith(("Delivery", "Slack"))]) == two_routes
