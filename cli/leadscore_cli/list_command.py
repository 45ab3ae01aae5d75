"""`leadscore leads`: a page of the ranked list, or all of it page by page, as a table, as CSV or as JSON."""

from __future__ import annotations

import json
from functools import partial
from typing import Annotated, Protocol

import typer
from rich.text import Text

from leadscore.core.p_convert import read_note
from leadscore.usecases.spreadsheet import write_csv
from leadscore_cli.api_client import LeadPage, LeadRow
from leadscore_cli.failures import CommandError
from leadscore_cli.local_stage import LOCAL_STAGE
from leadscore_cli.options import JsonOption, StageOption
from leadscore_cli.tables import leads_table
from leadscore_cli.target import target_of_project
from leadscore_cli.terminal import err, out

_SHOWN = 20
# What the API gives at most at once. Each page ranks the list anew, so that few long pages cost least.
_LONGEST_PAGE = 1000


class Ask(Protocol):
    """Asks for one page of the list."""

    def __call__(self, *, limit: int, cursor: str | None) -> LeadPage:
        """Return the page behind the cursor."""


def leads(
    tier: Annotated[str | None, typer.Option(help="Only this tier.")] = None,
    account: Annotated[str | None, typer.Option(help="Only leads of this account.")] = None,
    owner: Annotated[str | None, typer.Option(help="Only leads whose trait `owner` is this text.")] = None,
    min_score: Annotated[float | None, typer.Option(help="Only leads that score at least this.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, max=_LONGEST_PAGE, help=f"So many at most; default: {_SHOWN}.")
    ] = None,
    cursor: Annotated[str | None, typer.Option(help="Where the page before said that it goes on.")] = None,
    everyone: Annotated[bool, typer.Option("--all", help="The whole list.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="For a spreadsheet.")] = False,
    stage: StageOption = LOCAL_STAGE,
    as_json: JsonOption = False,
) -> None:
    """Show the ranked list, best first."""
    if as_csv and as_json:
        raise CommandError("a list is --csv or --json, not both")
    if everyone and limit is not None:
        raise CommandError("a list is --all or has a --limit, not both")
    with target_of_project(stage).api() as api:
        ask = partial(api.leads, tier=tier, account=account, owner=owner, min_score=min_score)
        page = read_all(ask, cursor) if everyone else ask(limit=limit or _SHOWN, cursor=cursor)
    if as_json:
        out.print_json(json.dumps(page))
        return
    if as_csv:
        typer.echo(write_csv(page["leads"], read_note(page.get("calibration"))), nl=False)
    else:
        out.print(leads_table(page))
    if page["next_cursor"]:
        err.print(Text(f"more with --cursor {page['next_cursor']}", style="dim"), soft_wrap=True)


def read_all(ask: Ask, cursor: str | None) -> LeadPage:
    """Return all of the list behind the cursor as one page; who moves meanwhile may come twice and is kept once."""
    page = ask(limit=_LONGEST_PAGE, cursor=cursor)
    rows: dict[str, LeadRow] = {}
    while True:
        for row in page["leads"]:
            rows.setdefault(row["id"], row)
        if page["next_cursor"] is None:
            return {**page, "leads": list(rows.values()), "next_cursor": None}
        page = ask(limit=_LONGEST_PAGE, cursor=page["next_cursor"])
