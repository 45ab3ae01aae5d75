"""The one way to live with a cdk-nag finding: at the narrowest construct, with a reason that can be checked."""

from __future__ import annotations

from aws_cdk import Acknowledgment, Validations
from constructs import IConstruct

_PACK = "AwsSolutions"


def acknowledge(construct: IConstruct, rule: str, reason: str) -> None:
    """Accept the finding `rule` (such as `APIG4`, or `IAM5[Resource::*]`) for this construct and what it contains."""
    Validations.of(construct).acknowledge(Acknowledgment(id=f"{_PACK}::{_PACK}-{rule}", reason=reason))
