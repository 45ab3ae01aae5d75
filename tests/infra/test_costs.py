"""What the cost model assumes of the stacks is what they are made of."""

from __future__ import annotations

import pytest

from leadscore_cli.costs import ASSUMED, Function
from tests.infra.synthesized import assembly_of


@pytest.mark.parametrize("name", ["ingest", "score", "notify", "api", "cool"])
def test_functions_are_costed_at_their_memory(name: str) -> None:
    functions = assembly_of("prod").properties("AWS::Lambda::Function")
    [built] = [each for key, each in functions.items() if key.startswith(f"{name.capitalize()}Function")]

    function = getattr(ASSUMED, name)
    assert isinstance(function, Function)
    assert built["MemorySize"] == function.memory * 1024


def test_alarms_are_costed() -> None:
    assert len(assembly_of("prod").properties("AWS::CloudWatch::Alarm")) == ASSUMED.alarms
