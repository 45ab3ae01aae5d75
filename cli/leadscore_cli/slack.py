"""`leadscore slack`: where a Slack route posts to, which is a secret, and whether it gets there.

The secret is read from standard input or typed unseen, never an argument, which a shell would keep. It lives in a
SecureString parameter that only the `slack` function reads; a test posts by that function, with its own rights.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError

from leadscore.core.slack_destination import Bot, InvalidDestinationError, parse_destination
from leadscore_cli.failures import CommandError
from leadscore_cli.local_stage import LOCAL_STAGE
from leadscore_cli.options import StageOption
from leadscore_cli.sample_alert import sample_alert
from leadscore_cli.target import Target, target_of_project
from leadscore_cli.terminal import CommandGroup, report

app = typer.Typer(cls=CommandGroup, no_args_is_help=True, help="Say where a Slack route posts to, and try it.")
RouteArgument = Annotated[str, typer.Argument(metavar="ROUTE", help="A route of the file of alert routes.")]
_TEST_SECONDS = 60


@app.command(name="set")
def set_destination(
    route: RouteArgument,
    channel: Annotated[
        str | None, typer.Option(help="The id of a channel (C0123...): then what is read is a bot's token.")
    ] = None,
    stage: StageOption = LOCAL_STAGE,
) -> None:
    """Store a route's webhook, or a bot's token, read from standard input or typed unseen."""
    target = target_of_project(stage)
    _check_route(target, route)
    what = "webhook" if channel is None else "token"
    secret = _read_secret(f"{what} of {route}")
    text = secret if channel is None else json.dumps({"token": secret, "channel": channel})
    try:
        destination = parse_destination(text, plain_loopback=stage == LOCAL_STAGE)
    except InvalidDestinationError as problem:
        raise CommandError(f"this is no {what}: {problem}") from None
    with target.ssm() as ssm:
        try:
            ssm.put_parameter(Name=parameter_name(stage, route), Value=text, Type="SecureString", Overwrite=True)
        except (BotoCoreError, ClientError) as problem:
            raise CommandError(f"the {what} cannot be stored: {problem}") from problem
    threads = "follow-ups in threads" if isinstance(destination, Bot) else "without threads"
    report(f"{route} posts there within a minute, {threads}; `leadscore slack test {route}` tries it")


@app.command(name="test")
def try_out(route: RouteArgument, stage: StageOption = LOCAL_STAGE) -> None:
    """Post an example through the deployed function and say what Slack answered."""
    target = target_of_project(stage)
    _check_route(target, route)
    alert = sample_alert(datetime.now(UTC), next_step=f"nothing, this is a test of the route {route}.", stage=stage)
    with target.lambdas(_TEST_SECONDS) as client:
        try:
            answer = client.invoke(
                FunctionName=target.deployment.functions["slack"],
                Payload=json.dumps({"try": route, "alert": alert.to_dict()}),
            )
        except (BotoCoreError, ClientError) as problem:
            raise CommandError(f"the slack function cannot be called: {problem}") from problem
        with answer["Payload"] as payload:
            content = json.loads(payload.read())
    if answer["StatusCode"] != HTTPStatus.OK or answer.get("FunctionError"):
        raise CommandError("the slack function failed: `leadscore logs slack` says why")
    if content["outcome"] != "posted":
        raise CommandError(f"nothing was posted: {content['reason']}")
    report(f"Slack has taken an example for {route}")


def parameter_name(stage: str, route: str) -> str:
    """Return the name of the parameter that holds a route's secret."""
    return f"/leadscore/{stage}/slack/{route}"


def _read_secret(prompt: str) -> str:
    if sys.stdin.isatty():
        return str(typer.prompt(prompt, hide_input=True, err=True)).strip()
    return sys.stdin.readline().strip()


def _check_route(target: Target, route: str) -> None:
    routes = target.deployment.slack_queues
    if route not in routes:
        known = ", ".join(routes) or "none: deploy with -c alert_routes=FILE"
        raise CommandError(f"no Slack route {route!r} is deployed; there is {known}")
