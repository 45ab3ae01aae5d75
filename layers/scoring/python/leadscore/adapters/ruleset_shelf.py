"""The published ruleset's parameters as its publisher writes them: parts first, then the one write that switches.

Parts are made and never changed: a part that is there already is the same one, since its folder is named after what
is in it, and the publisher reads all of them back before it switches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from leadscore.adapters.rulesets import open_value, published_documents
from leadscore.core.instants import from_datetime
from leadscore.stored_ruleset import Parts, TornRulesetError, is_switch, part_name, read_switch
from leadscore.usecases.publishing import Active

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient


class SsmShelf:
    """The publisher's Shelf on the parameter `name` and those below it."""

    def __init__(self, client: SSMClient, name: str) -> None:
        self._client = client
        self._name = name

    def read(self) -> Active:
        """Return what is published now, an empty document where its parts cannot be read."""
        found = self._client.get_parameter(Name=self._name)["Parameter"]
        folder, parts = "", 0
        try:
            if is_switch(found["Value"]):
                switch = read_switch(found["Value"])
                folder, parts = switch.folder, len(switch.pins)
            document = open_value(self._client, self._name, found["Value"])
        except TornRulesetError:
            document = ""
        return Active(
            document=document,
            revision=found["Version"],
            since=from_datetime(found["LastModifiedDate"]),
            folder=folder,
            parts=parts,
        )

    def put_parts(self, parts: Parts) -> str:
        """Write the parts as far as they are not there, and return the switch; they were read back by it."""
        pins = [self._put_part(part_name(self._name, parts.folder, n), value) for n, value in enumerate(parts.values)]
        switch = parts.switch(pins)
        open_value(self._client, self._name, switch)
        return switch

    def switch(self, value: str) -> None:
        """Make `value` the published one: the one write that everybody sees."""
        # Standard, and free, while it fits 4 KB.
        self._client.put_parameter(
            Name=self._name, Value=value, Type="String", Overwrite=True, Tier="Intelligent-Tiering"
        )

    def drop_parts(self, folder: str, count: int) -> None:
        """Delete parts that no publication of late names; deleting them twice is harmless."""
        for place in range(count):
            try:
                self._client.delete_parameter(Name=part_name(self._name, folder, place))
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") != "ParameterNotFound":
                    raise

    def former_documents(self) -> Sequence[str]:
        """Return every document that the parameter itself has held, oldest first."""
        return list(published_documents(self._client, self._name))

    def _put_part(self, name: str, value: str) -> int:
        try:
            return self._client.put_parameter(Name=name, Value=value, Type="String", Tier="Standard")["Version"]
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "ParameterAlreadyExists":
                raise
        found = self._client.get_parameter(Name=name)["Parameter"]
        if found["Value"] == value:
            return found["Version"]
        # Somebody wrote over it by hand; whatever named its earlier version still does.
        return self._client.put_parameter(Name=name, Value=value, Overwrite=True)["Version"]
