"""A ruleset's document as Parameter Store keeps it: whole in the one parameter, or in parts that a switch names.

    document --fits--> the parameter's value, in which no two braces open next to each other
             --else--> deflated, in base64, cut into parts; the parameter's value is the switch:
                       {"split": {"folder": digest of the parts, "pins": [version of each], "sha256", "bytes"}}

Invariant: a folder is named after what is in it, so that parts are written once and never changed, and what a switch
does not name whole and to the byte is refused: a document is the one that was published, or there is none.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

# What an advanced parameter holds, and a standard one.
PARAMETER_BYTES = 8192
PART_BYTES = 4096
MOST_PARTS = 40
# A ruleset has no such field, so no document begins like that.
_SWITCH_START = '{"split":'
MOST_DOCUMENT_BYTES = 1_000_000
_FOLDER_DIGITS = 16


class TornRulesetError(RuntimeError):
    """The parts that a switch names are not all there, or are not what was published."""


@dataclass(frozen=True, slots=True)
class Parts:
    """A document cut into parts; part number n is kept as `folder`/n."""

    folder: str
    values: tuple[str, ...]
    sha256: str
    bytes: int

    def switch(self, pins: Sequence[int]) -> str:
        """Return the parameter's value that makes the parts the ruleset; `pins` are their versions in order."""
        switch = {"folder": self.folder, "pins": list(pins), "sha256": self.sha256, "bytes": self.bytes}
        return json.dumps({"split": switch}, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Switch:
    """What a switch names."""

    folder: str
    pins: tuple[int, ...]
    sha256: str
    bytes: int

    def names(self, parameter: str) -> list[str]:
        """Return the names of the parts, each with its version, in order."""
        return [f"{part_name(parameter, self.folder, place)}:{pin}" for place, pin in enumerate(self.pins)]


def storable_text(document: str) -> str:
    """Return JSON of the same meaning that Parameter Store takes: it reads two opening braces as a template.

    Outside of texts no two of them are neighbours, and inside of a text each may be written as an escape.
    """
    return document.replace("{{", "\\u007b\\u007b")


def split_document(document: str) -> Parts | None:
    """Return the parts of a document that is too large for one parameter, None for one that fits.

    Raises ValueError where it takes more parts than there may be.
    """
    if len(storable_text(document).encode()) <= PARAMETER_BYTES:
        return None
    # Imported where they are needed: most rulesets are small, and a cold start pays for every import.
    import zlib
    from base64 import b64encode
    from hashlib import sha256

    content = document.encode()
    packed = b64encode(zlib.compress(content, 9)).decode()
    values = tuple(packed[start : start + PART_BYTES] for start in range(0, len(packed), PART_BYTES))
    if len(content) > MOST_DOCUMENT_BYTES or len(values) > MOST_PARTS:
        raise ValueError(
            f"the ruleset is {len(content):,} bytes as JSON and {len(values)} parts when deflated; "
            f"{MOST_DOCUMENT_BYTES:,} bytes and {MOST_PARTS} parts can be stored"
        )
    folder = sha256(packed.encode()).hexdigest()[:_FOLDER_DIGITS]
    return Parts(folder, values, sha256(content).hexdigest(), len(content))


def is_switch(value: str) -> bool:
    """Say whether a parameter's value is a switch, and no document itself."""
    return value.startswith(_SWITCH_START)


def read_switch(value: str) -> Switch:
    """Return the switch that a parameter's value is; raises TornRulesetError."""
    try:
        found = json.loads(value)["split"]
        return Switch(str(found["folder"]), tuple(map(int, found["pins"])), str(found["sha256"]), int(found["bytes"]))
    except (ValueError, TypeError, KeyError) as error:
        raise TornRulesetError("the ruleset's parameter holds a switch that names no parts") from error


def join_parts(switch: Switch, values: Sequence[str]) -> str:
    """Return the document that was cut into the parts; raises TornRulesetError where it is not the one published."""
    import zlib
    from base64 import b64decode
    from hashlib import sha256

    try:
        inflating = zlib.decompressobj()
        content = inflating.decompress(b64decode("".join(values), validate=True), switch.bytes + 1)
    except (ValueError, zlib.error) as error:
        raise TornRulesetError(f"the parts of the ruleset in {switch.folder} cannot be read") from error
    if len(content) != switch.bytes or sha256(content).hexdigest() != switch.sha256:
        raise TornRulesetError(f"the parts of the ruleset in {switch.folder} are not what was published")
    return content.decode()


def part_name(parameter: str, folder: str, place: int) -> str:
    """Return the name of a part's parameter."""
    return f"{parameter}/{folder}/{place}"
