"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

StageOption = Annotated[
    str, typer.Option(envvar="LEADSCORE_STAGE", help="local, or the name of a stage in your AWS account.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="The API's own answer.")]
AllJsonOption = Annotated[bool, typer.Option("--json", help="Everything as JSON.")]
ContextOption = Annotated[
    list[str] | None, typer.Option("--context", "-c", help="name=value for the CDK app, such as alert_email=...")
]
