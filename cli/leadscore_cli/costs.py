"""What a month costs: units counted from a workload, priced by the dated list prices in `prices.json`.

    workload -> units of each thing that AWS prices -> times its price -> per service, with its share

Invariant: every price of the list has its count of units and the other way round. Free tier, volume discounts, data
transfer, log storage, failures and tax are not counted. `WRITE_UNITS` is the one place that says what writes consume;
what is assumed and not measured is in `READ_UNITS` and `ASSUMED`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from math import ceil
from pathlib import Path
from typing import Final

from leadscore_cli.failures import CommandError

# Write request units of one happening, indexes included, its event being an item of at most 1 KB.
WRITE_UNITS: Final[Mapping[str, float]] = {
    "matches nothing": 1,
    "identify without a change": 1,
    "first event of a new lead": 3,
    "matches": 6,
    "matches, beside others of its lead": 1.1,
    "join": 8,
    "tier change by time": 5,
    "announcement": 4,
    # Of one that waits; what is published by the call that files it costs less.
    "alert": 8,
    # By the link in the alert, a snooze as the dearest of them.
    "verdict": 2,
    "post to Slack": 2,
    "nurtured lead": 9,
    "digest": 1,
    "change in a digest": 0,
    "rebuilt lead": 5,
    "sampled lead": 0,
    # What the segments' samples and the result take as compressed parts of 300 KB, where leads have many patterns.
    "run of insights": 4000,
    # On top of what the event of a lead that joins an account, or is of one, costs anyway.
    "joins an account": 5,
    "matches, of an account": 2,
    "account rated": 3,
}
# Read request units of the same and of the two reads of the API; those of events in a lead's log come on top. Alerts
# and reads are as if each of them read the calibration, which a warm function holds for a while.
READ_UNITS: Final[Mapping[str, float]] = {
    "matches nothing": 0,
    "identify without a change": 2,
    "first event of a new lead": 2,
    "matches": 2,
    "matches, beside others of its lead": 0.2,
    "join": 15,
    "tier change by time": 2,
    "announcement": 1,
    "alert": 12,
    "verdict": 4,
    "post to Slack": 0,
    # With those of the twenty that were looked at to find it, and of its log.
    "nurtured lead": 35,
    "digest": 0,
    # Its place in the index, its record, and its lead with the account's traits, as if no lead changed twice.
    "change in a digest": 4,
    "rebuilt lead": 2,
    # Its account and its further identities, beside the scan that brings its log.
    "sampled lead": 2,
    "run of insights": 4000,
    "joins an account": 1,
    "matches, of an account": 1,
    "account rated": 8,
    "page of the list": 131,
    "view of a lead": 16,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function's memory in GB, and the seconds that a call takes plus those of each event in it."""

    memory: float
    call: float
    event: float = 0.0

    def gb_seconds(self, calls: float, events: float = 0.0) -> float:
        """Return what is billed for so many calls that bring so many events between them."""
        return self.memory * (calls * self.call + events * self.event)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """What is neither measured nor asked for; bytes unless the name says otherwise, counts by the month."""

    ingest: Function = Function(memory=0.5, call=0.1)
    score: Function = Function(memory=1.0, call=0.1, event=0.02)
    notify: Function = Function(memory=0.5, call=0.1)
    slack: Function = Function(memory=0.25, call=0.6)
    api: Function = Function(memory=0.5, call=0.5)
    feedback: Function = Function(memory=0.5, call=0.3)
    cool: Function = Function(memory=0.25, call=0.1)
    digest: Function = Function(memory=0.5, call=0.1, event=0.03)
    nurture: Function = Function(memory=0.5, call=1.0, event=0.3)
    rebuild: Function = Function(memory=1.0, call=0.0, event=0.02)
    publish: Function = Function(memory=1.0, call=2.0)
    # Of a sample of 500 leads, before a ruleset is published.
    diff: Function = Function(memory=1769 / 1024, call=10.0)
    # One whole processor; an event read, as all of its lead are reduced together.
    insights: Function = Function(memory=1769 / 1024, call=5.0, event=0.0003)
    event_keys: int = 120
    storage_overhead: int = 100
    lead: int = 2_000
    log_of_a_call: int = 1_500
    log_of_a_request: int = 400
    # Lambda long-polls each of two queues from five pollers, 20 s at a time, also where nothing comes.
    idle_polls: int = 2 * 5 * 3 * 43_800
    runs_of_cool: int = 43_800
    runs_of_nurture: int = 30
    runs_of_digest: int = 2_920
    days_of_digests: int = 22
    metrics_of_digests: int = 2
    # Of each Slack route's queue, as above, and its alarms; of the function behind all of them.
    idle_polls_of_a_route: int = 5 * 3 * 43_800
    alarms_of_a_route: int = 2
    alarms_of_slack: int = 1
    metrics_of_slack: int = 3
    # As if every hour of the month brought each of them: CloudWatch bills a metric by the hours in which it was sent.
    metrics: int = 11
    alarms: int = 22
    key_uses_of_an_alert: int = 2
    transitions_of_a_rebuild: int = 300
    diffs_of_a_ruleset: int = 3
    leads_of_a_diff: int = 500
    events_of_a_compared_lead: int = 20
    # Of 32 segments, each of a call or two, and the conclusion.
    calls_of_a_run_of_insights: int = 50
    transitions_of_a_run_of_insights: int = 150
    parameter_reads: int = 3 * 43_800


ASSUMED: Final = Assumptions()
_DAYS_OF_A_MONTH: Final = 365 / 12
_GB: Final = 2**30
_CHUNK: Final = 64 * 1024  # SQS and EventBridge bill each begun 64 KB
_PER_QUEUE_REQUEST: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A month of traffic once the log is as old as its retention; shares are of all events unless it says otherwise.

    The defaults: an SDK sends twenty events at a time, a one-second window gathers little more than one request, one
    event in five matches, a lead sends forty, every fifth lead was a visitor before, and changes tier once in its life.
    """

    events: float
    over_bus: float = 0.1
    matching: float = 0.2
    beside_others: float = 0.2  # of those that match
    unchanged_identifies: float = 0.1
    new_leads: float = 0.025
    joins: float = 0.005
    tier_changes: float = 0.025
    by_time: float = 0.5  # of the tier changes
    event_bytes: int = 750
    events_per_request: int = 20
    events_per_batch: int = 20
    retention_days: int = 400
    leads: float | None = None
    alerts: float = 300
    verdicts: float = 0.5  # of the alerts
    nurtured: float = 0
    digests: int = 0  # on a day, that for all included
    slack_routes: int = 0
    list_reads: float = 10_000
    lead_reads: float = 10_000
    rebuilds: float = 1  # the re-scores after rulesets were published among them
    insights: float = 52 / 12
    in_accounts: float = 0.5  # of the leads
    people_per_account: float = 5
    warm_accounts: float = 0.2  # of the accounts: those that time alone can take into a lower tier
    large_ruleset: bool = False  # over 4 KB: an advanced parameter

    def __post_init__(self) -> None:
        if self.matching + self.unchanged_identifies + self.new_leads + self.joins > 1:
            raise CommandError("the shares of what matches, changes nothing, is new and joins are over 1 together")

    @property
    def logged_events(self) -> float:
        """How many events the log holds."""
        return self.events * self.retention_days / _DAYS_OF_A_MONTH

    @property
    def stored_leads(self) -> float:
        """How many leads there are: as told, else those whose first event the log still holds."""
        return self.logged_events * self.new_leads if self.leads is None else self.leads

    @property
    def ratings(self) -> float:
        """How often accounts are rated: after each batch that moved one of their people, and daily while warm."""
        moving = self.matching * (1 - self.beside_others) + self.new_leads + self.tier_changes * self.by_time
        daily = self.stored_leads / self.people_per_account * self.warm_accounts * _DAYS_OF_A_MONTH
        return self.in_accounts * (self.events * moving + daily)


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What `per` units cost in USD; `source` is AWS's page, `as_of` the day of the newest statement of it found."""

    service: str
    unit: str
    usd: float
    per: int
    source: str
    as_of: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """So many units of one thing, and what they cost in USD."""

    units: float
    price: Price

    @property
    def usd(self) -> float:
        """What it costs."""
        return self.units * self.price.usd / self.price.per


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceCost:
    """One service: USD, its share of the whole from 0 to 1, and its items, dearest first."""

    service: str
    usd: float
    share: float
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A month in USD, the dearest service first."""

    usd: float
    services: tuple[ServiceCost, ...]


def prices_of(region: str) -> dict[str, Price]:
    """Return the prices of a region by name; raises CommandError that names the regions there are."""
    regions = json.loads(Path(__file__).with_name("prices.json").read_text(encoding="utf-8"))
    if region not in regions:
        raise CommandError(f"no prices of region {region!r}: there are those of {', '.join(regions)}")
    return {name: Price(**price) for name, price in regions[region].items()}


def estimate_costs(load: Workload, prices: Mapping[str, Price]) -> Estimate:
    """Return what the workload costs; things of which nothing is used are left out."""
    counted = count_units(load)
    items = [Item(units=counted[name], price=price) for name, price in prices.items() if counted[name]]
    items.sort(key=lambda item: (item.price.service, -item.usd))
    usd = sum(item.usd for item in items)
    services = []
    for service, group in groupby(items, key=lambda item: item.price.service):
        own = tuple(group)
        cost = sum(item.usd for item in own)
        services.append(ServiceCost(service=service, usd=cost, share=cost / usd, items=own))
    return Estimate(usd=usd, services=tuple(sorted(services, key=lambda one: -one.usd)))


def count_units(load: Workload) -> dict[str, float]:
    """Return the units of everything that is priced, by the price's name."""
    requests = load.events * (1 - load.over_bus) / load.events_per_request
    changes = load.events * load.tier_changes
    messages = load.events + changes * load.by_time + load.ratings
    batches = messages / load.events_per_batch
    api_calls = load.list_reads + load.lead_reads
    posts = load.alerts * load.slack_routes
    # Whoever follows a link asks for the page, and then says it.
    said = 2 * load.alerts * load.verdicts
    calls = requests + batches + changes + api_calls + ASSUMED.runs_of_cool + ASSUMED.runs_of_nurture + posts + said
    learning_calls = load.insights * ASSUMED.calls_of_a_run_of_insights
    diffs = load.rebuilds * ASSUMED.diffs_of_a_ruleset
    calls += ASSUMED.runs_of_digest + learning_calls + load.rebuilds + diffs
    digests = load.digests * ASSUMED.days_of_digests
    logs = calls * ASSUMED.log_of_a_call + (requests + api_calls + said) * ASSUMED.log_of_a_request
    return {
        **_count_table(load),
        "lambda_calls": calls,
        "lambda_duration": ASSUMED.ingest.gb_seconds(requests)
        + ASSUMED.score.gb_seconds(batches, messages)
        + ASSUMED.notify.gb_seconds(changes)
        + ASSUMED.api.gb_seconds(api_calls)
        + ASSUMED.feedback.gb_seconds(said)
        + ASSUMED.slack.gb_seconds(posts)
        + ASSUMED.cool.gb_seconds(ASSUMED.runs_of_cool)
        + ASSUMED.digest.gb_seconds(ASSUMED.runs_of_digest, changes if load.digests else 0)
        + ASSUMED.nurture.gb_seconds(ASSUMED.runs_of_nurture, load.nurtured)
        + ASSUMED.rebuild.gb_seconds(0, load.rebuilds * load.stored_leads)
        + ASSUMED.publish.gb_seconds(load.rebuilds)
        + ASSUMED.diff.gb_seconds(diffs)
        + ASSUMED.insights.gb_seconds(learning_calls, load.insights * load.logged_events),
        "api_requests": requests + api_calls + said,
        "sqs_requests": _count_queue_requests(load, requests=requests, batches=batches, changes=changes),
        "bus_events": load.events * load.over_bus * ceil(load.event_bytes / _CHUNK) + changes + load.nurtured,
        # For Slack there is a second topic.
        "sns_publishes": load.alerts * (2 if load.slack_routes else 1) + digests,
        # Of the digests that for all; owners' own by SES are not counted.
        "sns_emails": load.alerts + (ASSUMED.days_of_digests if load.digests else 0),
        "kms_requests": (load.alerts + digests) * ASSUMED.key_uses_of_an_alert,
        "log_ingestion": logs / _GB,
        "metrics": ASSUMED.metrics
        + (ASSUMED.metrics_of_slack if load.slack_routes else 0)
        + (ASSUMED.metrics_of_digests if load.digests else 0),
        "alarms": count_alarms(load),
        "transitions": load.rebuilds * ASSUMED.transitions_of_a_rebuild
        + load.insights * ASSUMED.transitions_of_a_run_of_insights,
        "large_parameters": 1 if load.large_ruleset else 0,
        "large_parameter_reads": ASSUMED.parameter_reads if load.large_ruleset else 0,
    }


def count_alarms(load: Workload) -> int:
    """Return how many alarms are deployed."""
    of_slack = ASSUMED.alarms_of_slack if load.slack_routes else 0
    return ASSUMED.alarms + of_slack + load.slack_routes * ASSUMED.alarms_of_a_route


def count_happenings(load: Workload) -> dict[str, float]:
    """Return how often each thing happens that writes or reads the table, by its name in `READ_UNITS`."""
    matching = load.matching * load.events
    named = {
        "identify without a change": load.unchanged_identifies * load.events,
        "first event of a new lead": load.new_leads * load.events,
        "matches": matching * (1 - load.beside_others),
        "matches, beside others of its lead": matching * load.beside_others,
        "join": load.joins * load.events,
    }
    changes = load.tier_changes * load.events
    return {
        "matches nothing": load.events - sum(named.values()),
        **named,
        "tier change by time": changes * load.by_time,
        "announcement": changes,
        "alert": load.alerts,
        "verdict": load.alerts * load.verdicts,
        "post to Slack": load.alerts * load.slack_routes,
        "nurtured lead": load.nurtured,
        "digest": load.digests * ASSUMED.days_of_digests,
        "change in a digest": changes if load.digests else 0,
        "rebuilt lead": load.rebuilds * load.stored_leads,
        "sampled lead": load.insights * load.stored_leads + _compared_leads(load),
        "run of insights": load.insights,
        "joins an account": load.in_accounts * load.new_leads * load.events,
        "matches, of an account": load.in_accounts * named["matches"],
        "account rated": load.ratings,
        "page of the list": load.list_reads,
        "view of a lead": load.lead_reads,
    }


def _count_table(load: Workload) -> dict[str, float]:
    happenings = count_happenings(load)
    item = load.event_bytes + ASSUMED.event_keys
    beyond_first_kb = load.events * (ceil(item / 1024) - 1)
    # A scan that may be a moment behind takes half of what a read of the newest takes.
    scanned = load.insights * load.logged_events + _compared_leads(load) * ASSUMED.events_of_a_compared_lead
    log_reads = (load.rebuilds * load.logged_events + scanned / 2) * item / 4096
    stored = load.logged_events * (item + ASSUMED.storage_overhead) + load.stored_leads * ASSUMED.lead
    return {
        "dynamodb_writes": beyond_first_kb
        + sum(times * WRITE_UNITS.get(name, 0) for name, times in happenings.items()),
        "dynamodb_reads": log_reads + sum(times * READ_UNITS[name] for name, times in happenings.items()),
        "dynamodb_storage": stored / _GB,
        "dynamodb_backup": stored / _GB,
    }


def _compared_leads(load: Workload) -> float:
    return load.rebuilds * ASSUMED.diffs_of_a_ruleset * ASSUMED.leads_of_a_diff


def _count_queue_requests(load: Workload, *, requests: float, batches: float, changes: float) -> float:
    per_request = _billed(load.events_per_request, load.event_bytes)
    per_batch = _billed(load.events_per_batch, load.event_bytes)
    from_bus = load.events * load.over_bus * ceil(load.event_bytes / _CHUNK)
    deletes = batches * ceil(load.events_per_batch / _PER_QUEUE_REQUEST)
    due = changes * load.by_time + load.ratings
    slack = load.slack_routes * (3 * load.alerts + ASSUMED.idle_polls_of_a_route)
    sent = requests * per_request + from_bus + due
    return sent + batches * per_batch + deletes + 3 * changes + slack + ASSUMED.idle_polls


def _billed(messages: int, message_bytes: int) -> float:
    """Requests billed for sending or receiving messages ten at a time."""
    whole = ceil(messages / _PER_QUEUE_REQUEST)
    return max(whole, ceil(messages * message_bytes / _CHUNK))
