"""What is read as a verdict and what is refused, field by field."""

from __future__ import annotations

import pytest

from leadscore.core.instants import DAY
from leadscore.core.verdicts import InvalidVerdictError, Verdict, parse_verdict

GOOD: list[tuple[dict[str, object], Verdict]] = [
    ({"verdict": "good"}, Verdict("good", 5, "kim")),
    ({"verdict": "junk", "reason": " a student "}, Verdict("junk", 5, "kim", "a student")),
    ({"verdict": "good", "reason": ""}, Verdict("good", 5, "kim")),
    (
        {"verdict": "good", "reason": "\u00dcn\u00efc\u00f6d\u00e9 \U0001f600" + "x" * 180},
        Verdict("good", 5, "kim", "\u00dcn\u00efc\u00f6d\u00e9 \U0001f600" + "x" * 180),
    ),
    ({"verdict": "snooze"}, Verdict("snooze", 5, "kim", until=5 + 7 * DAY)),
    ({"verdict": "snooze", "for": "1s"}, Verdict("snooze", 5, "kim", until=1005)),
    ({"verdict": "snooze", "for": "365d"}, Verdict("snooze", 5, "kim", until=5 + 365 * DAY)),
]


@pytest.mark.parametrize(("said", "verdict"), GOOD)
def test_a_verdict_is_read(said: dict[str, object], verdict: Verdict) -> None:
    assert parse_verdict(said, 5, "kim") == verdict


NO_LENGTHS: list[object] = ["", "366d", "0s", "7", 7, "7d ", "7d\n", "1000s", None, "\u0667d", [], "9" * 400 + "w"]
NO_REASONS: list[object] = ["x" * 201, "a\nb", "\u2028", "\x7f", "\udc00", 1, [], None, "a\n"]
REFUSED: list[tuple[dict[str, object], str]] = [
    ({}, "verdict"),
    ({"verdict": "GOOD"}, "verdict"),
    ({"verdict": None}, "verdict"),
    ({"verdict": {}}, "verdict"),
    ({"verdict": "junk", "for": "7d"}, "for"),
    *(({"verdict": "snooze", "for": value}, "for") for value in NO_LENGTHS),
    *(({"verdict": "good", "reason": value}, "reason") for value in NO_REASONS),
    ({"verdict": "good", "lead": "ada"}, "unknown field"),
]


@pytest.mark.parametrize(("said", "field"), REFUSED)
def test_what_is_no_verdict_is_refused_by_its_field_and_never_repeated(said: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidVerdictError, match=f"^{field}") as refused:
        parse_verdict(said, 5, "kim")
    assert all(str(value) not in str(refused.value) for value in said.values() if len(str(value)) > 9)
