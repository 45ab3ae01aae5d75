"""The `leadscore` command: reads the line, calls one function, prints what it returned."""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, cast

import typer
from rich.text import Text

from leadscore.core.instants import format_instant, from_datetime, parse_duration, parse_instant
from leadscore_cli import alerts, criteria, keys, quarantine, slack
from leadscore_cli.account_commands import account, accounts
from leadscore_cli.api_client import ApiClient, ApiError
from leadscore_cli.backtest_command import backtest
from leadscore_cli.cost_command import cost
from leadscore_cli.digest_command import digest
from leadscore_cli.event_lines import Event, parse_fields, read_batches
from leadscore_cli.exports import write_lines
from leadscore_cli.failures import CommandError
from leadscore_cli.import_command import import_history
from leadscore_cli.insights_command import insights
from leadscore_cli.list_command import leads
from leadscore_cli.local_stage import LOCAL_STAGE, LocalStage
from leadscore_cli.log_lines import LogLine, follow_log, read_log
from leadscore_cli.options import ContextOption, JsonOption, StageOption
from leadscore_cli.outputs import OUTPUTS_FILE
from leadscore_cli.project import find_project, local_state
from leadscore_cli.redrive import redrive
from leadscore_cli.remote_stage import deploy_stage
from leadscore_cli.tables import first_steps, lead_card, lead_view, outputs_list
from leadscore_cli.target import Target, target_of_project
from leadscore_cli.terminal import CommandGroup, err, out, report
from leadscore_cli.truth_commands import rebuild, verify

app = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Lead scoring on your own AWS account, or on an emulated one on this machine.",
)
app.add_typer(criteria.app, name="criteria")
app.add_typer(keys.app, name="keys")
app.add_typer(alerts.app, name="alerts")
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(slack.app, name="slack")
app.command()(leads)
app.command()(accounts)
app.command()(account)
app.command()(cost)
app.command()(digest)
app.command()(insights)
app.command()(verify)
app.command()(rebuild)
app.command()(backtest)
app.command()(redrive)
app.command("import")(import_history)


class EventType(StrEnum):
    """The event types of the Segment spec."""

    IDENTIFY = "identify"
    TRACK = "track"
    PAGE = "page"
    SCREEN = "screen"
    GROUP = "group"
    ALIAS = "alias"


@app.command()
def up(context: ContextOption = None) -> None:
    """Start the local stage, deploy the app onto it, and leave it running."""
    project = find_project()
    outputs = LocalStage(project, local_state(project), report, context=tuple(context or ())).up()
    shown = {"write_key": outputs.write_key, "endpoint_url": outputs.endpoint_url, "pid": outputs.pid}
    out.print(outputs_list({**asdict(outputs.deployment), **shown}), soft_wrap=True)
    out.print(Text(f"\n{first_steps(outputs)}\n"), soft_wrap=True)
    out.print(Text(f"all names are in .local/{OUTPUTS_FILE}; `leadscore down` ends it", style="dim"))


@app.command()
def down() -> None:
    """End the local stage and remove all it made."""
    report("the local stage is gone" if _local_stage().down() else "there is no local stage")


@app.command()
def deploy(
    stage: Annotated[str, typer.Option(help="The stage to deploy: dev or prod.")],
    context: ContextOption = None,
) -> None:
    """Deploy a stage into the AWS account of your credentials, and make its first write key."""
    if stage == LOCAL_STAGE:
        raise CommandError("`leadscore up` deploys the local stage")
    project = find_project()
    target, write_key = deploy_stage(project, local_state(project), stage, context or [])
    out.print(outputs_list(asdict(target.deployment)), soft_wrap=True)
    if write_key is not None:
        out.print(Text(f"\nwrite key (keep it: it is not shown again): {write_key}", style="bold"))


@app.command()
def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave the local stage up afterwards.")] = False,
) -> None:
    """Import a year, learn from it, send a week of SDK traffic, and show who became hot, why, and what was learned."""
    from leadscore_cli.demo import run_demo  # the SDK is a development dependency

    stage = _local_stage()
    found_up = stage.is_up()
    stage.up()
    try:
        holds = run_demo(_target(LOCAL_STAGE), out)
    finally:
        if not (keep or found_up):
            stage.down()
    if not holds:
        raise typer.Exit(1)


@app.command()
def send(
    event_type: Annotated[EventType | None, typer.Argument(metavar="TYPE", help="Left out: events from stdin.")] = None,
    name: Annotated[str | None, typer.Argument(help="A track's event, or a page's name.")] = None,
    user: Annotated[str | None, typer.Option(help="The user id.")] = None,
    anonymous: Annotated[str | None, typer.Option(help="The anonymous id.")] = None,
    group: Annotated[str | None, typer.Option(help="The account of a group event.")] = None,
    previous: Annotated[str | None, typer.Option(help="The former id of an alias event.")] = None,
    prop: Annotated[list[str] | None, typer.Option("--prop", "-p", help="name=value, repeatable.")] = None,
    trait: Annotated[list[str] | None, typer.Option("--trait", "-t", help="name=value, repeatable.")] = None,
    stage: StageOption = LOCAL_STAGE,
    write_key: Annotated[
        str | None, typer.Option(envvar="LEADSCORE_WRITE_KEY", help="Needed for a deployed stage.")
    ] = None,
) -> None:
    """Send one event from options, or one per line of JSON from standard input."""
    target = _target(stage)
    key = write_key or target.write_key
    if key is None:
        raise CommandError("a deployed stage needs --write-key or LEADSCORE_WRITE_KEY")
    if event_type is None:
        _send_all(target, key, sys.stdin)
        return
    ids = {"userId": user, "anonymousId": anonymous, "groupId": group, "previousId": previous}
    event: Event = {field: value for field, value in ids.items() if value is not None}
    if name is not None:
        event["event" if event_type is EventType.TRACK else "name"] = name
    contents = {"properties": parse_fields(prop or []), "traits": parse_fields(trait or [])}
    event |= {field: value for field, value in contents.items() if value}
    event |= {"type": event_type.value, "messageId": str(uuid.uuid4()), "timestamp": datetime.now(UTC).isoformat()}
    _send_all(target, key, [json.dumps(event)])


@app.command()
def lead(
    lead_id: Annotated[str, typer.Argument(metavar="ID")],
    at: Annotated[str | None, typer.Option(help="As of this instant, past or future, in ISO 8601.")] = None,
    ruleset: Annotated[str | None, typer.Option(help="Under this version, or its beginning; default: active.")] = None,
    stage: StageOption = LOCAL_STAGE,
    as_json: JsonOption = False,
) -> None:
    """Show one lead: its score, why to the last point, and its newest events."""
    instant = None if at is None else _instant(at)
    with _target(stage).api() as api:
        detail = api.lead(lead_id, at=instant, ruleset=ruleset)
    if as_json:
        out.print_json(json.dumps(detail))
    else:
        out.print(lead_view(detail))


@app.command()
def export(
    lead_id: Annotated[str, typer.Argument(metavar="ID")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A new file; left out: standard output.")
    ] = None,
    stage: StageOption = LOCAL_STAGE,
) -> None:
    """Export all that is held about one lead, as lines of JSON: what the person may ask for."""
    with _target(stage).api() as api:
        if output is None:
            for line in api.export(lead_id):
                typer.echo(line)
        else:
            _export_to(api, lead_id, output)


@app.command()
def erase(
    lead_id: Annotated[str, typer.Argument(metavar="ID")],
    export_to: Annotated[
        Path | None, typer.Option("--export", help="Export to this new file first; erase only once it is whole.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    stage: StageOption = LOCAL_STAGE,
    as_json: JsonOption = False,
) -> None:
    """Erase one lead for good, with all its identities and events, and show the receipt."""
    with _target(stage).api() as api:
        if export_to is not None:
            _export_to(api, lead_id, export_to)
        if not yes:
            _ask_to_erase(api, lead_id, exported=export_to is not None)
        receipt = api.erase(lead_id)
    if as_json:
        out.print_json(json.dumps(receipt))
        return
    out.print(outputs_list(cast(dict[str, object], receipt)))
    if not receipt["identities"]:
        report("it had been erased before")
    if receipt["events_left"]:
        report(f"{receipt['events_left']} of the events are being removed in the background")


@app.command()
def logs(
    function: Annotated[str | None, typer.Argument(help="ingest, score, notify or api; default: all.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more until Ctrl-C.")] = False,
    since: Annotated[str, typer.Option(help="How far back: 90s, 10m, 2h, 1d.")] = "10m",
    stage: StageOption = LOCAL_STAGE,
) -> None:
    """Show what the functions wrote into their logs."""
    target = _target(stage)
    groups = target.deployment.log_groups
    if function is not None and function not in groups:
        raise CommandError(f"no function {function!r}: there are {', '.join(groups)}")
    chosen = groups if function is None else {function: groups[function]}
    try:
        start = from_datetime(datetime.now(UTC)) - parse_duration(since)
    except ValueError as problem:
        raise CommandError(f"--since {since!r}: {problem}") from problem
    with target.logs() as client, suppress(KeyboardInterrupt):  # Ctrl-C is how following ends
        _print_log(follow_log(client, chosen, start) if follow else read_log(client, chosen, start))


def _export_to(api: ApiClient, lead_id: str, path: Path) -> None:
    report(f"{write_lines(api.export(lead_id), path)} lines in {path}")


def _ask_to_erase(api: ApiClient, lead_id: str, *, exported: bool) -> None:
    """Ask whether this is who is meant, unless nobody is known by that id: then there is nothing to lose."""
    try:
        detail = api.lead(lead_id)
    except ApiError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            return
        raise
    err.print(lead_card(detail))
    if not exported:
        report("nothing is exported: --export FILE keeps all that is held about this person")
    typer.confirm("Erase this person for good?", abort=True, err=True)


def _instant(text: str) -> str:
    try:
        return format_instant(parse_instant(text))
    except (ValueError, OverflowError) as problem:
        raise CommandError(f"--at {text!r} is no ISO 8601 instant") from problem


def _print_log(lines: Iterable[LogLine]) -> None:
    for line in lines:
        out.print(Text.assemble((f"{line.instant} {line.function:7}", "dim"), " ", line.text), soft_wrap=True)


def _send_all(target: Target, write_key: str, lines: Iterable[str]) -> None:
    accepted, rejected = 0, []
    with target.api() as api:
        for batch in read_batches(lines):
            refusals = api.send(write_key, [event for _, event in batch]).get("rejected", [])
            accepted += len(batch) - len(refusals)
            rejected += [f"line {batch[r['index']][0]}: {r['code']}: {r['message']}" for r in refusals]
    report(f"{accepted} accepted")
    if rejected:
        raise CommandError(f"{len(rejected)} rejected", "\n".join(rejected))


def _local_stage() -> LocalStage:
    project = find_project()
    return LocalStage(project, local_state(project), report)


def _target(stage: str) -> Target:
    return target_of_project(stage)
