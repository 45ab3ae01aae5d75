"""`leadscore accounts` and `leadscore account ID`: the ranked list of accounts, and whose score one of them has."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.text import Text

from leadscore_cli.local_stage import LOCAL_STAGE
from leadscore_cli.options import JsonOption, StageOption
from leadscore_cli.tables import account_view, accounts_table
from leadscore_cli.target import target_of_project
from leadscore_cli.terminal import err, out

_SHOWN = 20
# What the API gives at most at once.
_LONGEST_PAGE = 100


def accounts(
    tier: Annotated[str | None, typer.Option(help="Only this tier.")] = None,
    min_score: Annotated[float | None, typer.Option(help="Only accounts that score at least this.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=_LONGEST_PAGE, help="So many at most.")] = _SHOWN,
    cursor: Annotated[str | None, typer.Option(help="Where the page before said that it goes on.")] = None,
    stage: StageOption = LOCAL_STAGE,
    as_json: JsonOption = False,
) -> None:
    """Show the ranked list of accounts, best first."""
    with target_of_project(stage).api() as api:
        page = api.accounts(tier=tier, min_score=min_score, limit=limit, cursor=cursor)
    if as_json:
        out.print_json(json.dumps(page))
        return
    out.print(accounts_table(page))
    if page["next_cursor"]:
        err.print(Text(f"more with --cursor {page['next_cursor']}", style="dim"), soft_wrap=True)


def account(
    account_id: Annotated[str, typer.Argument(metavar="ID")],
    stage: StageOption = LOCAL_STAGE,
    as_json: JsonOption = False,
) -> None:
    """Show one account: its score, and what each of its people adds to it."""
    with target_of_project(stage).api() as api:
        detail = api.account(account_id)
    if as_json:
        out.print_json(json.dumps(detail))
    else:
        out.print(account_view(detail))
