"""`leadscore cost`: a month of a workload on AWS, from the model in `costs`. It asks no network and no account."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from leadscore_cli.costs import ASSUMED, WRITE_UNITS, Estimate, Function, Price, Workload, estimate_costs, prices_of
from leadscore_cli.terminal import err, out

_USUAL = Workload(events=0)
_MILLION = 1_000_000


def _share(meaning: str) -> Any:
    return typer.Option(min=0, max=1, help=meaning)


def cost(
    events_per_month: Annotated[int, typer.Option(min=1, help="Events of all kinds.")],
    region: Annotated[str, typer.Option(help="The AWS region whose prices count.")] = "us-east-1",
    over_bus: Annotated[float, _share("Share of events that come over the bus.")] = _USUAL.over_bus,
    matching: Annotated[float, _share("Share of events that match a criterion.")] = _USUAL.matching,
    new_leads: Annotated[float, _share("Share of events that are a lead's first.")] = _USUAL.new_leads,
    joins: Annotated[float, _share("Share of events that join a visitor to a user.")] = _USUAL.joins,
    tier_changes: Annotated[float, _share("Changes of tier per event.")] = _USUAL.tier_changes,
    in_accounts: Annotated[float, _share("Share of leads that belong to an account.")] = _USUAL.in_accounts,
    event_bytes: Annotated[int, typer.Option(min=1, help="An event as JSON.")] = _USUAL.event_bytes,
    events_per_request: Annotated[int, typer.Option(min=1)] = _USUAL.events_per_request,
    events_per_batch: Annotated[int, typer.Option(min=1, max=100)] = _USUAL.events_per_batch,
    retention_days: Annotated[
        int, typer.Option(min=1, help="How long the log keeps an event.")
    ] = _USUAL.retention_days,
    leads: Annotated[int | None, typer.Option(min=0, help="Leads in all; default: by new leads and retention.")] = None,
    alerts: Annotated[int, typer.Option(min=0, help="Alerts a month.")] = int(_USUAL.alerts),
    nurtured: Annotated[int, typer.Option(min=0, help="Leads a month that are announced for nurturing.")] = int(
        _USUAL.nurtured
    ),
    digests: Annotated[int, typer.Option(min=0, help="Digests on a day, that for all included.")] = _USUAL.digests,
    slack_routes: Annotated[int, typer.Option(min=0, help="Slack routes that get them.")] = _USUAL.slack_routes,
    list_reads: Annotated[int, typer.Option(min=0, help="Pages of the list a month.")] = int(_USUAL.list_reads),
    rebuilds: Annotated[int, typer.Option(min=0, help="Rebuilds of all leads a month.")] = int(_USUAL.rebuilds),
    insights: Annotated[float, typer.Option(min=0, help="Runs of insights a month.")] = _USUAL.insights,
    large_ruleset: Annotated[bool, typer.Option("--large-ruleset", help="The ruleset is over 4 KB.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Figures, prices with their sources, and assumptions.")
    ] = False,
) -> None:
    """Say what a month costs on AWS by list prices, and what share each service has."""
    load = Workload(
        events=events_per_month,
        over_bus=over_bus,
        matching=matching,
        new_leads=new_leads,
        joins=joins,
        tier_changes=tier_changes,
        in_accounts=in_accounts,
        event_bytes=event_bytes,
        events_per_request=events_per_request,
        events_per_batch=events_per_batch,
        retention_days=retention_days,
        leads=leads,
        alerts=alerts,
        nurtured=nurtured,
        digests=digests,
        slack_routes=slack_routes,
        list_reads=list_reads,
        rebuilds=rebuilds,
        insights=insights,
        large_ruleset=large_ruleset,
    )
    prices = prices_of(region)
    estimate = estimate_costs(load, prices)
    idle = estimate_costs(replace(load, events=0), prices)
    if as_json:
        out.print_json(json.dumps(_plain(region, load, estimate, idle)))
        return
    out.print(costs_table(estimate))
    out.print(Text(f"\n{estimate.usd / load.events * _MILLION:.2f} USD per million events", style="bold"))
    out.print(Text(f"{idle.usd:.2f} USD of the month do not depend on the number of events"))
    err.print(Text("\n".join(_caveats(region, prices)), style="dim"))


def costs_table(estimate: Estimate) -> Table:
    """Return the services, dearest first, each with its items, and the sum."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("Service")
    for heading in ("Units", "USD a month", "Share"):
        table.add_column(heading, justify="right")
    for service in estimate.services:
        table.add_row(service.service, "", f"{service.usd:.2f}", f"{service.share:.1%}", style="bold")
        for item in service.items:
            digits = 2 if item.units < 100 and item.units % 1 else 0
            units = f"{item.units:,.{digits}f}"
            table.add_row(Text(f"  {item.price.unit}", style="dim"), units, f"{item.usd:.2f}", "")
    table.add_row("Total", "", f"{estimate.usd:.2f}", "100.0%", style="bold")
    return table


def _plain(region: str, load: Workload, estimate: Estimate, idle: Estimate) -> dict[str, object]:
    services = [
        {
            "service": service.service,
            "usd": service.usd,
            "share": service.share,
            "items": [{**asdict(item), "usd": item.usd} for item in service.items],
        }
        for service in estimate.services
    ]
    return {
        "region": region,
        "usd_per_month": estimate.usd,
        "usd_per_million_events": estimate.usd / load.events * _MILLION,
        "usd_without_events": idle.usd,
        "services": services,
        "workload": asdict(load) | {"leads": load.stored_leads},
        "write_units": dict(WRITE_UNITS),
        "assumptions": asdict(ASSUMED),
    }


def _caveats(region: str, prices: Mapping[str, Price]) -> list[str]:
    dates = [price.as_of for price in prices.values()]
    functions = ((name, getattr(ASSUMED, name)) for name in ("ingest", "score", "notify", "api", "cool"))
    return [
        "",
        f"List prices of {region}, last confirmed from {min(dates)} to {max(dates)}; each with its source by --json.",
        "Not counted: free tier, volume discounts, data transfer, log storage, tax.",
        f"Assumed, not measured: {', '.join(_told(name, function) for name, function in functions)}.",
    ]


def _told(name: str, function: Function) -> str:
    per_event = f" + {function.event} s an event" if function.event else ""
    return f"{name} {function.memory} GB for {function.call} s a call{per_event}"
