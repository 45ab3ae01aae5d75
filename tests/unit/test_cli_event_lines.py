"""Events given as lines or as options are read exactly, or refused by line."""

from __future__ import annotations

import pytest

from leadscore_cli.event_lines import BATCH_EVENTS, parse_fields, read_batches, read_events
from leadscore_cli.failures import CommandError


def test_blank_lines_are_left_out_and_still_counted() -> None:
    assert list(read_events(['{"a": 1}\n', "\n", '{"b": 2}'])) == [(1, {"a": 1}), (3, {"b": 2})]


@pytest.mark.parametrize("line", ["{", "[1]", '"text"', "null"])
def test_a_line_that_is_no_object_is_named(line: str) -> None:
    with pytest.raises(CommandError, match="line 2"):
        list(read_events(["{}", line]))


def test_batches_are_of_a_size_that_the_api_takes() -> None:
    batches = list(read_batches("{}" for _ in range(BATCH_EVENTS + 1)))

    assert [len(batch) for batch in batches] == [BATCH_EVENTS, 1]
    assert batches[1] == ((BATCH_EVENTS + 1, {}),)


@pytest.mark.parametrize(
    ("pair", "value"),
    [
        ("employees=300", 300),
        ("plan=pro", "pro"),
        ("active=true", True),
        ('company={"employees": 300}', {"employees": 300}),
        ("formula=a=b", "a=b"),
        ("empty=", ""),
    ],
)
def test_a_value_is_json_or_else_text(pair: str, value: object) -> None:
    name = pair.partition("=")[0]

    assert parse_fields([pair]) == {name: value}


@pytest.mark.parametrize("pair", ["plan", "=pro", ""])
def test_what_is_no_pair_is_refused(pair: str) -> None:
    with pytest.raises(CommandError, match="name=value"):
        parse_fields([pair])
