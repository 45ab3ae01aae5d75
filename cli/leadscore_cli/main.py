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
from typing import Annotated

import typer
from rich.text import Text

from leadscore.core.instants import from_datetime, parse_duration
from leadscore_cli import criteria
from leadscore_cli.event_lines import Event, parse_fields, read_batches
from leadscore_cli.failures import CommandError
from leadscore_cli.local_stage import LOCAL_STAGE, LocalStage
from leadscore_cli.log_lines import LogLine, follow_log, read_log
from leadscore_cli.outputs import OUTPUTS_FILE
from leadscore_cli.project import find_project, local_state
from leadscore_cli.remote_stage import deploy_stage
from leadscore_cli.tables import first_steps, lead_view, leads_table, outputs_list
from leadscore_cli.target import Target, choose_target
from leadscore_cli.terminal import CommandGroup, err, out, report

app = typer.Typer(
    cls=CommandGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Lead scoring on your own AWS account, or on an emulated one on this machine.",
)
app.add_typer(criteria.app, name="criteria")


class EventType(StrEnum):
    """The event types of the Segment spec."""

    IDENTIFY = "identify"
    TRACK = "track"
    PAGE = "page"
    SCREEN = "screen"
    GROUP = "group"
    ALIAS = "alias"


StageOption = Annotated[
    str, typer.Option(envvar="LEADSCORE_STAGE", help="local, or the name of a stage in your AWS account.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="The API's own answer.")]


@app.command()
def up() -> None:
    """Start the local stage, deploy the app onto it, and leave it running."""
    outputs = _local_stage().up()
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
    context: Annotated[
        list[str] | None, typer.Option("--context", "-c", help="name=value for the CDK app, such as alert_email=...")
    ] = None,
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
    """Send a week of SDK traffic through the local stage and show who became hot and why."""
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
def leads(
    tier: Annotated[str | None, typer.Option(help="Only this tier.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100)] = 20,
    cursor: Annotated[str | None, typer.Option(help="Where the page before said that it goes on.")] = None,
    stage: StageOption = LOCAL_STAGE,
    as_json: JsonOption = False,
) -> None:
    """Show the ranked list, best first."""
    with _target(stage).api() as api:
        page = api.leads(tier=tier, limit=limit, cursor=cursor)
    if as_json:
        out.print_json(json.dumps(page))
        return
    out.print(leads_table(page))
    if page["next_cursor"]:
        err.print(Text(f"more with --cursor {page['next_cursor']}", style="dim"))


@app.command()
def lead(
    lead_id: Annotated[str, typer.Argument(metavar="ID")],
    stage: StageOption = LOCAL_STAGE,
    as_json: JsonOption = False,
) -> None:
    """Show one lead: its score, why to the last point, and its newest events."""
    with _target(stage).api() as api:
        detail = api.lead(lead_id)
    if as_json:
        out.print_json(json.dumps(detail))
    else:
        out.print(lead_view(detail))


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
    return choose_target(stage, local_state(find_project()))
