"""nurture as it is wired: leads in the table, a ruleset that asks for it, and what the bus is told."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import ModuleType

import boto3
import pytest

from leadscore.adapters import topics
from leadscore.usecases import nurturing
from tests.functions.deployed import Context
from tests.functions.test_scoring_functions import EXECUTIVE, RULESET, Account, account, record
from tests.unit.test_signals import check

__all__ = ["account"]


@pytest.fixture
def nurture(account: Account) -> ModuleType:
    ask_for(daily=2)
    return account.function("nurture")


def ask_for(**fields: object) -> None:
    document = {**json.loads(RULESET.document), "nurture": {"min_fit": 10, **fields}}
    boto3.client("ssm").put_parameter(Name="/ruleset", Value=json.dumps(document), Type="String", Overwrite=True)


def hear(account: Account, number: int, kind: str, lead: str, days_ago: float, **more: object) -> None:
    at = datetime.now(UTC) - timedelta(days=days_ago)  # noqa: TID251
    text = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    said = record(number, kind, userId=lead, timestamp=text, receivedAt=text, **more)
    assert account.function("score").handler({"Records": [said]}, Context()) == {"batchItemFailures": []}


def quiet(account: Account, number: int, lead: str, **traits: object) -> None:
    hear(account, number, "identify", lead, 20, traits={**EXECUTIVE, **traits})


def told(account: Account) -> list[tuple[str, dict[str, object]]]:
    bodies = [json.loads(message["body"]) for message in account.take(account.bus_queue)]
    return [(body["detail-type"], body["detail"]) for body in bodies]


def test_quiet_leads_are_announced_once_within_the_budget_and_the_best_first(
    account: Account, nurture: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    quiet(account, 1, "less", company={"employees": 5})
    quiet(account, 2, "ada")
    quiet(account, 3, "bob")
    quiet(account, 4, "awake")
    hear(account, 5, "track", "awake", 1, event="Unheard Of")
    nurture.handler({}, Context())
    announced = told(account)
    assert [name for name, _ in announced] == ["LeadNeedsNurturing"] * 2
    details = [check(name, json.dumps(detail)) for name, detail in announced]
    assert [(detail["person"]["id"], detail["score"]) for detail in details] == [("ada", 18.0), ("bob", 18.0)]
    assert [action["criterion"] for action in details[0]["next_best_actions"]] == [
        "free-trial",
        "pricing-page",
        "webinar",
    ]
    assert (details[0]["next_tier"], details[0]["shortest_way"]) == ("warm", ["free-trial"])
    out = capsys.readouterr().out
    assert '"LeadsNurtured":[2.0]' in out
    assert "Grace" not in out
    nurture.handler({}, Context())
    assert told(account) == []
    ask_for(daily=3)
    nurture.handler({}, Context())
    assert [detail["person"] for _, detail in told(account)] != []
    nurture.handler({}, Context())
    assert told(account) == []


def test_where_there_is_more_than_one_run_looks_at_it_goes_on(
    account: Account, nurture: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nurturing, "LEADS_PER_RUN", 1)
    monkeypatch.setattr(nurturing, "_CHUNK", 1)
    quiet(account, 1, "awake")
    hear(account, 2, "track", "awake", 1, event="Unheard Of")
    quiet(account, 3, "less", company={"employees": 5})
    nurture.handler({}, Context())
    [(name, detail)] = told(account)
    assert name == topics.NURTURING_CONTINUES
    nurture.handler({"detail-type": name, "detail": detail}, Context())
    announced = told(account)
    assert [(name, detail.get("person", {}).get("id")) for name, detail in announced] == [  # type: ignore[attr-defined]
        ("LeadNeedsNurturing", "less"),
        (topics.NURTURING_CONTINUES, None),
    ]
    nurture.handler({"detail": announced[-1][1]}, Context())
    assert told(account) == []


def test_leads_that_are_out_of_place_are_handed_on(account: Account, nurture: ModuleType) -> None:
    quiet(account, 1, "ada")
    hear(account, 2, "track", "ada", 89.99, event="Webinar Attended")
    account.take(account.events)
    later = datetime.now(UTC) + timedelta(days=2)  # noqa: TID251
    nurture.tools = replace(nurture.tools, clock=lambda: later)  # type: ignore[attr-defined]
    nurture.handler({}, Context())
    bodies = [json.loads(message["body"]) for message in account.take(account.events)]
    assert {"refresh": "user:ada"} in bodies


def test_a_ruleset_that_does_not_ask_for_it_has_nobody_announced(account: Account) -> None:
    quiet(account, 1, "ada")
    account.function("nurture").handler({}, Context())
    assert told(account) == []


@pytest.mark.filterwarnings("ignore:No application metrics")  # Powertools', on the way out of the failure
def test_a_bus_that_refuses_fails_the_run(account: Account, nurture: ModuleType) -> None:
    quiet(account, 1, "ada")
    gone = account.function("nurture", BUS_NAME="gone")
    with pytest.raises(Exception, match="gone"):
        gone.handler({}, Context())
    # The next run leaves it to whoever may still be at work; one after that tells of it.
    healthy = account.function("nurture")
    healthy.handler({}, Context())
    assert told(account) == []
    tomorrow = datetime.now(UTC) + timedelta(days=1)  # noqa: TID251
    healthy.tools = replace(healthy.tools, clock=lambda: tomorrow)  # type: ignore[attr-defined]
    healthy.handler({}, Context())
    assert [name for name, _ in told(account)] == ["LeadNeedsNurturing"]
