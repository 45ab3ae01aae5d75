"""The published ruleset in Parameter Store: read whole or from its parts, and switched by one write.

Invariant: whoever reads gets a document that was published, or an error. Parts are read only where the switch has
changed since, so that a ruleset costs one request per time to live, however large it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from leadscore.adapters.parameters import CachedParameter
from leadscore.core.parsing import InvalidRuleset, parse_ruleset
from leadscore.core.patterns import Problem
from leadscore.stored_ruleset import Switch, TornRulesetError, is_switch, join_parts, read_switch

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

    from leadscore.core.ruleset import Ruleset

_GONE = ("ParameterNotFound", "ParameterVersionNotFound")


def cached_ruleset(
    client: SSMClient, name: str, *, ttl_seconds: int, clock: Callable[[], datetime]
) -> CachedParameter[Ruleset]:
    """Return the published ruleset, to be read at most once in so many seconds."""
    return CachedParameter(
        client,
        name,
        parse=lambda value: parse_ruleset(open_value(client, name, value)),
        ttl_seconds=ttl_seconds,
        clock=clock,
    )


def read_ruleset(client: SSMClient, name: str) -> Ruleset:
    """Return the published ruleset; raises InvalidRuleset, and what Parameter Store raises."""
    value = client.get_parameter(Name=name)["Parameter"]["Value"]
    try:
        return parse_ruleset(open_value(client, name, value))
    except TornRulesetError as error:
        raise InvalidRuleset([Problem("", str(error), None)]) from error


def open_value(client: SSMClient, name: str, value: str) -> str:
    """Return the document that a value of the ruleset's parameter stands for; raises TornRulesetError."""
    if not is_switch(value):
        return value
    switch = read_switch(value)
    return join_parts(switch, _read_parts(client, name, switch))


def published_documents(client: SSMClient, name: str) -> Iterator[str]:
    """Yield every document that the parameter itself has held, oldest first: Parameter Store keeps the last hundred.

    Those that were published in parts are in the ledger of publications.
    """
    for page in client.get_paginator("get_parameter_history").paginate(Name=name):
        values = (version["Value"] for version in page["Parameters"])
        yield from (value for value in values if not is_switch(value))


def _read_parts(client: SSMClient, name: str, switch: Switch) -> list[str]:
    """Return the parts in order, by a request each: there are few, and they are read once a publication."""
    try:
        return [client.get_parameter(Name=part)["Parameter"]["Value"] for part in switch.names(name)]
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") not in _GONE:
            raise
        raise TornRulesetError(f"a part of the ruleset in {switch.folder} is missing") from error
