"""`leadscore digest`: what a digest would say now, without sending anything.

It reads the table with the caller's own rights, the same on AWS and locally.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.text import Text

from leadscore import InvalidRuleset
from leadscore.adapters.clock import utc_now
from leadscore.adapters.desks import DynamoDesks
from leadscore.adapters.dynamodb import DynamoReader
from leadscore.adapters.erasing import DynamoGraves
from leadscore.adapters.rulesets import read_ruleset
from leadscore.core.digest import Digest, owner_of
from leadscore.core.digest_messages import plain_text
from leadscore.core.digest_policy import Round
from leadscore.core.instants import format_instant, from_datetime, parse_duration
from leadscore.usecases.digesting import DigestTools, compose
from leadscore_cli.failures import CommandError
from leadscore_cli.local_stage import LOCAL_STAGE
from leadscore_cli.options import AllJsonOption, StageOption
from leadscore_cli.target import target_of_project
from leadscore_cli.terminal import out

_CONNECTIONS = 10
# Nothing here is written, so it need not be known over how many partitions the indexes are spread.
_NO_SHARDS = 1


def digest(
    owner: Annotated[str | None, typer.Option(help="The owner whose digest is shown; that for all without.")] = None,
    since: Annotated[str, typer.Option(help="Of changes no longer ago than this: 24h, 7d.")] = "24h",
    stage: StageOption = LOCAL_STAGE,
    as_json: AllJsonOption = False,
) -> None:
    """Show the digest as of now, without sending it; it holds personal data."""
    now = from_datetime(utc_now())
    try:
        current = Round(format_instant(now)[:10], now - parse_duration(since), now)
    except (ValueError, OverflowError) as problem:
        raise CommandError(f"--since {since!r}: {problem}") from problem
    wanted = None if owner is None else owner_of(owner)
    with _tools(stage) as tools:
        found = next((one for one in compose(tools, current) if one.owner == wanted), None)
    if as_json:
        out.print_json(json.dumps(None if found is None else found.to_dict()))
        return
    out.print(Text(_told(found)))


def _told(found: Digest | None) -> str:
    return "there is nothing to say" if found is None else plain_text(found)


@contextmanager
def _tools(stage: str) -> Iterator[DigestTools]:
    target = target_of_project(stage)
    names = target.deployment
    with target.dynamodb(_CONNECTIONS) as client, target.ssm() as ssm:
        places = {"shards": _NO_SHARDS, "retention_days": names.event_retention_days}
        try:
            yield DigestTools(
                records=DynamoDesks(client, names.table, **places),
                reader=DynamoReader(client, names.table, **places),
                people=DynamoGraves(client, names.table, time.sleep),
                ruleset=read_ruleset(ssm, names.ruleset_parameter),
                lead_page=None,
                clock=utc_now,
            )
        except InvalidRuleset as invalid:
            raise CommandError(f"the published ruleset cannot be read: {invalid}") from invalid
        except (BotoCoreError, ClientError) as problem:
            raise CommandError(f"the digest cannot be read: {problem}") from problem
