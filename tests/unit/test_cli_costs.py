"""The cost model: adds up, is linear in events, and gives what a calculation by hand gives."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from infra.stages import stage_named
from leadscore_cli import costs
from leadscore_cli.costs import ASSUMED, READ_UNITS, WRITE_UNITS, Workload, count_happenings, count_units
from leadscore_cli.costs import estimate_costs as estimate
from leadscore_cli.failures import CommandError
from leadscore_cli.main import app

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
PRICES = costs.prices_of("us-east-1")
MILLION = Workload(events=1_000_000)
# Only events that match nothing, a hundred a batch; all by HTTPS, ten a request; nothing is read, told or rebuilt.
PLAIN = Workload(
    events=1_000_000,
    over_bus=0,
    matching=0,
    unchanged_identifies=0,
    new_leads=0,
    joins=0,
    tier_changes=0,
    events_per_request=10,
    events_per_batch=100,
    alerts=0,
    list_reads=0,
    lead_reads=0,
    rebuilds=0,
    insights=0,
)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["cost", *arguments], env={"COLUMNS": "200", "TERM": "dumb"})


def cents(load: Workload) -> dict[str, float]:
    """Each service's cost, rounded to the cent."""
    return {service.service: round(service.usd, 2) for service in estimate(load, PRICES).services}


def test_a_million_plain_events_cost_what_a_calculation_by_hand_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(costs, "ASSUMED", replace(ASSUMED, metrics=9, alarms=11))
    # Writes 1 M * 0.625. Log of 400 days: 1 M * 4800/365 events of 750 + 120 + 100 bytes = 11.88 GiB at 0.25 + 0.20.
    # Lambda: 100,000 + 10,000 + 43,800 + 2,920 calls = 0.03; GB-seconds 0.5 * 10,000 + 1 * (1,000 + 20,000)
    # + 0.25 * 4,380 + 0.5 * 292, and 15 of nurture, = 27,256 = 0.36. REST 100,000 = 0.35.
    # SQS: 100,000 sends, 10,000 * 10 receives and deletes each, 1,314,000 polls.
    # CloudWatch: 9 * 0.30 + 11 * 0.10; logs 153,800 * 1,500 + 100,000 * 400 bytes = 0.252 GiB at 0.50.
    wanted = {"DynamoDB": 5.97, "CloudWatch": 3.93, "SQS": 0.65, "Lambda": 0.39, "API Gateway": 0.35}

    assert cents(PLAIN) == wanted
    assert round(estimate(PLAIN, PRICES).usd, 2) == 11.29


@pytest.mark.parametrize(
    ("changes", "writes"),
    [
        ({"matching": 0.2, "beside_others": 0}, 800_000 + 6 * 200_000),
        ({"matching": 0.2, "beside_others": 1}, 800_000 + 2 * 200_000),
        ({"new_leads": 0.1}, 900_000 + 5 * 100_000),
        ({"unchanged_identifies": 0.1}, 1_000_000),
        ({"joins": 0.01}, 990_000 + 8 * 10_000),
        ({"tier_changes": 0.02, "by_time": 0.5}, 1_000_000 + 2 * 20_000 + 5 * 10_000),
        ({"rebuilds": 2, "leads": 1_000}, 1_000_000 + 2 * 5 * 1_000),
        ({"event_bytes": 1_024}, 2_000_000),
    ],
)
def test_each_kind_of_event_costs_its_write_units(
    changes: dict[str, float], writes: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        costs,
        "WRITE_UNITS",
        {
            "matches nothing": 1,
            "identify without a change": 1,
            "first event of a new lead": 5,
            "matches": 6,
            "matches, beside others of its lead": 2,
            "join": 8,
            "tier change by time": 5,
            "announcement": 2,
            "rebuilt lead": 5,
        },
    )

    assert count_units(replace(PLAIN, **changes))["dynamodb_writes"] == pytest.approx(writes)  # type: ignore[arg-type]


@pytest.mark.parametrize("load", [PLAIN, MILLION, replace(MILLION, large_ruleset=True), replace(MILLION, events=1)])
def test_shares_and_items_add_up(load: Workload) -> None:
    whole = estimate(load, PRICES)

    assert sum(service.share for service in whole.services) == pytest.approx(1)
    assert sum(service.usd for service in whole.services) == pytest.approx(whole.usd)
    for service in whole.services:
        assert sum(item.usd for item in service.items) == pytest.approx(service.usd)
        assert {item.price.service for item in service.items} == {service.service}
    assert len({service.service for service in whole.services}) == len(whole.services)


def test_the_dearest_comes_first() -> None:
    services = estimate(MILLION, PRICES).services

    assert [service.usd for service in services] == sorted((service.usd for service in services), reverse=True)
    for service in services:
        assert [item.usd for item in service.items] == sorted((item.usd for item in service.items), reverse=True)


@pytest.mark.parametrize("events", [1_000, 1_000_000, 1_000_000_000])
def test_what_is_not_idle_cost_is_linear_in_events(events: int) -> None:
    idle, once, twice = (estimate(replace(MILLION, events=times * events), PRICES).usd for times in (0, 1, 2))

    assert once > idle
    assert twice - idle == pytest.approx(2 * (once - idle))


def test_a_happening_is_counted_once_and_has_its_units() -> None:
    happenings = count_happenings(MILLION)

    assert happenings.keys() == READ_UNITS.keys()
    assert happenings.keys() - WRITE_UNITS.keys() == {"page of the list", "view of a lead"}
    kinds = ["matches nothing", "identify without a change", "first event of a new lead", "join"]
    matching = ["matches", "matches, beside others of its lead"]
    assert sum(happenings[kind] for kind in kinds + matching) == pytest.approx(1_000_000)


def test_every_price_is_used_and_has_its_page_and_a_date() -> None:
    counted = count_units(replace(MILLION, large_ruleset=True))

    assert counted.keys() == PRICES.keys()
    assert min(counted.values()) > 0
    for price in PRICES.values():
        assert re.fullmatch(r"https://aws\.amazon\.com/[a-z-]+/pricing/([a-z-]+/)?", price.source)
        assert date(2025, 1, 1) < date.fromisoformat(price.as_of) < date(2100, 1, 1)
        assert price.usd > 0
        assert price.per > 0


def test_a_large_event_is_billed_by_the_chunk_wherever_it_passes() -> None:
    small, large = (count_units(replace(PLAIN, over_bus=0.5, event_bytes=size)) for size in (750, 65_537))

    assert large["bus_events"] == 2 * small["bus_events"]
    # 50,000 requests of 11 chunks instead of 1, 500,000 bus events of 2, and 10,000 batches received by 101, not by 10.
    assert large["sqs_requests"] - small["sqs_requests"] == 50_000 * 10 + 500_000 + 10_000 * 91


def test_shares_over_one_together_are_refused() -> None:
    with pytest.raises(CommandError, match="over 1"):
        Workload(events=1, matching=0.9, new_leads=0.2)


def test_accounts_cost_their_ratings_and_one_more_key_of_each_of_their_leads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        costs,
        "WRITE_UNITS",
        {"matches nothing": 1, "joins an account": 4, "matches, of an account": 2, "account rated": 3},
    )
    load = replace(
        PLAIN, matching=0.2, beside_others=0.5, new_leads=0.1, leads=1_000, in_accounts=0.4, people_per_account=5
    )
    warm = replace(load, warm_accounts=0.5)

    # After the 100,000 that match alone and the 100,000 first events; and half of 80 accounts on each of 30.4 days.
    assert replace(load, warm_accounts=0).ratings == pytest.approx(0.4 * 200_000)
    assert warm.ratings == pytest.approx(0.4 * 200_000 + 40 * 365 / 12)
    wanted = 700_000 + 4 * 0.4 * 100_000 + 2 * 0.4 * 100_000 + 3 * warm.ratings
    assert count_units(warm)["dynamodb_writes"] == pytest.approx(wanted)
    # Each is a message of its own: sent, received and deleted.
    without = count_units(replace(load, in_accounts=0))
    assert count_units(warm)["sqs_requests"] - without["sqs_requests"] > warm.ratings


def test_the_log_is_kept_as_long_as_prod_keeps_it() -> None:
    assert MILLION.retention_days == stage_named("prod").event_retention_days


def test_an_unknown_region_is_refused_by_those_that_are_known() -> None:
    result = run("--events-per-month", "1000", "--region", "mars-1")

    assert result.exit_code == 1
    assert "'mars-1'" in result.output
    assert "us-east-1" in result.output


def test_options_reach_the_model() -> None:
    shares = [
        "--in-accounts",
        ".7",
        "--over-bus",
        ".1",
        "--matching",
        ".2",
        "--new-leads",
        ".3",
        "--joins",
        ".4",
        "--tier-changes",
        ".5",
    ]
    counts = [
        "--alerts",
        "5",
        "--nurtured",
        "4",
        "--list-reads",
        "6",
        "--rebuilds",
        "2",
        "--insights",
        "3",
        "--leads",
        "8",
        "--retention-days",
        "9",
    ]
    counts += ["--slack-routes", "3", "--digests", "7"]
    sizes = ["--event-bytes", "10", "--events-per-request", "11", "--events-per-batch", "12", "--large-ruleset"]
    result = run("--events-per-month", "1000", *shares, *counts, *sizes, "--json")

    workload = json.loads(result.stdout)["workload"]
    wanted = {
        "events": 1000,
        "in_accounts": 0.7,
        "over_bus": 0.1,
        "matching": 0.2,
        "new_leads": 0.3,
        "joins": 0.4,
        "tier_changes": 0.5,
    }
    wanted |= {
        "alerts": 5,
        "nurtured": 4,
        "list_reads": 6,
        "rebuilds": 2,
        "insights": 3,
        "leads": 8,
        "retention_days": 9,
        "event_bytes": 10,
    }
    wanted |= {"digests": 7, "slack_routes": 3, "events_per_request": 11, "events_per_batch": 12, "large_ruleset": True}
    assert wanted.items() <= workload.items()


def test_json_says_where_each_figure_comes_from() -> None:
    told = json.loads(run("--events-per-month", "2000000", "--json").stdout)
    whole = estimate(Workload(events=2_000_000), PRICES)

    assert told["usd_per_month"] == pytest.approx(whole.usd)
    assert told["usd_per_million_events"] == pytest.approx(whole.usd / 2)
    assert told["usd_without_events"] == pytest.approx(estimate(Workload(events=0), PRICES).usd)
    assert [service["service"] for service in told["services"]] == [service.service for service in whole.services]
    for service in told["services"]:
        for item in service["items"]:
            assert item["usd"] == pytest.approx(item["units"] * item["price"]["usd"] / item["price"]["per"])
            assert item["price"]["source"].startswith("https://aws.amazon.com/")
            assert item["price"]["as_of"]
    assert told["write_units"] == WRITE_UNITS
    assert told["assumptions"]["score"] == {"memory": 1.0, "call": 0.1, "event": 0.02}


def test_the_table_shows_shares_and_flags_what_was_assumed() -> None:
    result = run("--events-per-month", "1000000")

    assert result.exit_code == 0, result.output
    whole = estimate(MILLION, PRICES)
    for service in whole.services:
        assert re.search(rf"^{service.service} +{service.usd:.2f} +{service.share:.1%}", result.stdout, re.MULTILINE)
    assert re.search(rf"^Total +{whole.usd:.2f} +100.0%", result.stdout, re.MULTILINE)
    assert f"{whole.usd:.2f} USD per million events" in result.stdout
    assert "Assumed, not measured: ingest 0.5 GB" in result.stderr
    assert "free tier" in result.stderr


def test_readme_shows_what_the_command_says() -> None:
    loads = [Workload(events=events) for events in (1_000_000, 10_000_000, 100_000_000)]
    wholes = [{s.service: s for s in estimate(load, PRICES).services} for load in loads]
    figures = r" \| ([\d,.]+) \| ([\d.]+%)" * len(loads)
    rows = re.findall(rf"^\| (\w[\w ]*){figures} \|$", README, re.MULTILINE)
    shown = {name: tuple(texts) for name, *texts in rows}
    wanted = {
        name: tuple(text for whole in wholes for text in (f"{whole[name].usd:,.2f}", f"{whole[name].share:.1%}"))
        for name in wholes[0]
        if wholes[0][name].share > 0.002
    }
    totals = tuple(text for load in loads for text in (f"{estimate(load, PRICES).usd:,.2f}", "100%"))
    assert shown == wanted | {"all": totals}
    month = estimate(replace(loads[1], retention_days=30), PRICES)
    assert f"30 days of log, 10 million events a month cost {month.usd:.2f} USD" in README


def test_a_slack_route_costs_its_polling_and_alarms_and_each_post_two_writes_and_a_call() -> None:
    none, one, two = (count_units(replace(PLAIN, alerts=1000, slack_routes=routes)) for routes in (0, 1, 2))

    assert one["sns_publishes"] == two["sns_publishes"] == 2 * none["sns_publishes"]
    assert two["dynamodb_writes"] - one["dynamodb_writes"] == pytest.approx(2 * 1000)
    assert two["lambda_calls"] - one["lambda_calls"] == pytest.approx(1000)
    assert two["sqs_requests"] - one["sqs_requests"] == ASSUMED.idle_polls_of_a_route + 3 * 1000
    assert (one["alarms"] - none["alarms"], two["alarms"] - one["alarms"]) == (3, 2)
    assert (one["metrics"] - none["metrics"], two["metrics"] - one["metrics"]) == (3, 0)


def test_digests_cost_a_publication_and_a_write_each_and_a_look_at_each_change() -> None:
    load = replace(PLAIN, tier_changes=0.01, by_time=0)
    none, six = (count_units(replace(load, digests=digests)) for digests in (0, 6))
    days = ASSUMED.days_of_digests

    assert six["dynamodb_writes"] - none["dynamodb_writes"] == pytest.approx(6 * days)
    assert six["sns_publishes"] - none["sns_publishes"] == 6 * days
    assert six["sns_emails"] - none["sns_emails"] == days
    assert six["dynamodb_reads"] - none["dynamodb_reads"] == pytest.approx(10_000 * READ_UNITS["change in a digest"])
    assert six["lambda_duration"] - none["lambda_duration"] == pytest.approx(10_000 * 0.03 * 0.5)
    assert none["lambda_calls"] >= ASSUMED.runs_of_digest


def test_a_run_of_insights_reads_the_whole_log_once_at_half_the_price() -> None:
    load = replace(PLAIN, leads=1_000)
    none, two = (count_units(replace(load, insights=runs)) for runs in (0, 2))
    log = load.logged_events * (750 + 120) / 4096

    reads = 2 * (log / 2 + 1_000 * READ_UNITS["sampled lead"] + READ_UNITS["run of insights"])
    assert two["dynamodb_reads"] - none["dynamodb_reads"] == pytest.approx(reads)
    assert two["dynamodb_writes"] - none["dynamodb_writes"] == pytest.approx(2 * WRITE_UNITS["run of insights"])
    assert two["lambda_duration"] - none["lambda_duration"] > 2 * load.logged_events * ASSUMED.insights.event
    assert two["transitions"] - none["transitions"] == 2 * ASSUMED.transitions_of_a_run_of_insights
