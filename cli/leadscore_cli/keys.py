"""`leadscore keys`: who may send events to a stage, and from where."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from leadscore_cli.failures import CommandError
from leadscore_cli.local_stage import LOCAL_STAGE
from leadscore_cli.options import AllJsonOption, StageOption
from leadscore_cli.target import target_of_project
from leadscore_cli.terminal import CommandGroup, out, report
from leadscore_cli.write_keys import Entry, WriteKeyStore

app = typer.Typer(cls=CommandGroup, no_args_is_help=True, help="Make, list and revoke write keys, one a source.")
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The source that sends by it: web, billing, ...")]


@app.command()
def create(
    name: NameArgument,
    origin: Annotated[
        list[str] | None, typer.Option(help="Only pages of this origin may send by it, repeatable.")
    ] = None,
    server_only: Annotated[bool, typer.Option("--server-only", help="No web page may send by it.")] = False,
    stage: StageOption = LOCAL_STAGE,
) -> None:
    """Make a write key and show it, once: only its hash is kept."""
    with _keys(stage) as keys:
        key = keys.create(name, origins=origin or [], server_only=server_only)
    report(f"the write key of {name}: keep it, it is not shown again; it is accepted within half a minute")
    out.print(Text(key, style="bold"), soft_wrap=True)


@app.command(name="list")
def list_keys(stage: StageOption = LOCAL_STAGE, as_json: AllJsonOption = False) -> None:
    """Show every key by its source, and never the key."""
    with _keys(stage) as keys:
        entries = keys.read()
    if as_json:
        out.print_json(json.dumps(entries))
    else:
        out.print(_table(entries))


@app.command()
def revoke(name: NameArgument, stage: StageOption = LOCAL_STAGE) -> None:
    """Revoke a source's key for good; within a minute its events are refused."""
    with _keys(stage) as keys:
        keys.revoke(name)
    report(f"the key of {name} is revoked; within a minute no event is taken by it")


@contextmanager
def _keys(stage: str) -> Iterator[WriteKeyStore]:
    target = target_of_project(stage)
    with target.ssm() as ssm:
        try:
            yield WriteKeyStore(ssm, target.deployment.write_keys_parameter)
        except (BotoCoreError, ClientError) as problem:
            raise CommandError(f"the write keys cannot be read or changed: {problem}") from problem


def _table(entries: list[Entry]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("Source", "Created", "May send", "Revoked"):
        table.add_column(heading, overflow="fold")
    for entry in entries:
        table.add_row(escape(entry["source"]), entry.get("created", ""), escape(_senders(entry)), entry.get("revoked"))
    return table


def _senders(entry: Entry) -> str:
    if entry.get("server_only"):
        return "servers"
    return ", ".join(entry.get("origins", [])) or "anybody"
