"""Write keys: AWS keeps their SHA-256 alone, so a key is shown once, when it is made.

All keys of a stage are one parameter, whose form `leadscore.ingest.write_keys` describes. It holds 8 KB; what is
remembered of revoked keys makes way for new ones.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NotRequired, TypedDict, cast

from leadscore_cli.failures import CommandError

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

# What one advanced parameter of Parameter Store holds.
MAX_PARAMETER_BYTES = 8192
_RANDOM_BYTES = 24  # 32 characters of URL-safe text
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_ORIGIN = re.compile(r"https?://(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(:[0-9]{1,5})?")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class Entry(TypedDict):
    """What the parameter keeps of one key; `created` and `revoked` are instants."""

    source: str
    sha256: str
    created: NotRequired[str]
    origins: NotRequired[list[str]]
    server_only: NotRequired[bool]
    revoked: NotRequired[str]


@dataclass(frozen=True, slots=True)
class Stored:
    """The parameter as it was read."""

    entries: list[Entry]
    version: int


@dataclass(frozen=True, slots=True)
class WriteKeyStore:
    """The write keys of one stage."""

    ssm: SSMClient
    parameter: str

    def read(self) -> list[Entry]:
        """Return what is kept of every key, oldest first."""
        return self._read().entries

    def create(self, name: str, *, origins: list[str], server_only: bool) -> str:
        """Return a new key of the source `name`; raises CommandError, also where a key of that name is in use."""
        if not _NAME.fullmatch(name):
            raise CommandError(f"{name!r} is no name for a source: a-z, 0-9, '.', '_', '-', at most 64 characters")
        if origins and server_only:
            raise CommandError("a key is for web pages (--origin) or for servers (--server-only), not for both")
        stored = self._read()
        if any(entry["source"] == name for entry in _in_use(stored.entries)):
            raise CommandError(f"{name} has a key: create one under another name, change over, then revoke {name}")
        key, entry = _new_key(name)
        if origins:
            entry["origins"] = sorted({as_origin(origin) for origin in origins})
        if server_only:
            entry["server_only"] = True
        self._publish([*stored.entries, entry], stored.version)
        return key

    def revoke(self, name: str) -> None:
        """Revoke the key of the source `name`; raises CommandError where none is in use."""
        stored = self._read()
        used = [entry for entry in _in_use(stored.entries) if entry["source"] == name]
        if not used:
            names = ", ".join(entry["source"] for entry in _in_use(stored.entries)) or "none"
            raise CommandError(f"no key of {name!r} is in use; in use: {names}")
        for entry in used:
            entry["revoked"] = _now()
        self._publish(stored.entries, stored.version)

    def ensure(self, known: str | None, source: str = "default") -> str:
        """Return a key that is accepted: the known one if it is, else a new one that replaces `source`'s."""
        stored = self._read()
        if known is not None and any(entry["sha256"] == fingerprint(known) for entry in _in_use(stored.entries)):
            return known
        key, entry = _new_key(source)
        kept = [one for one in stored.entries if one["source"] != source]
        self._publish([*kept, entry], stored.version)
        return key

    def first(self, source: str = "default") -> str | None:
        """Return a new key when there was none yet; None, and nothing changed, when there is or was one."""
        return None if self.read() else self.ensure(None, source)

    def _read(self) -> Stored:
        found = self.ssm.get_parameter(Name=self.parameter)["Parameter"]
        return Stored(cast(list[Entry], json.loads(found["Value"])), found["Version"])

    def _publish(self, entries: list[Entry], read: int) -> None:
        document = _fitting(entries)
        # Standard, and free, while it fits 4 KB.
        written = self.ssm.put_parameter(
            Name=self.parameter, Value=document, Overwrite=True, Tier="Intelligent-Tiering"
        )["Version"]
        if written != read + 1:
            raise CommandError(
                "somebody else changed the keys at this moment: look at them, and repeat what is missing"
            )


def as_origin(text: str) -> str:
    """Return an origin as browsers write it: scheme, host and, where it is not the usual one, port; or CommandError."""
    origin = text.strip().lower().rstrip("/")
    found = _ORIGIN.fullmatch(origin)
    if not found:
        raise CommandError(f"{text!r} is no origin: https://app.example, without a path")
    return origin.removesuffix(_DEFAULT_PORTS[origin.partition(":")[0]])


def fingerprint(key: str) -> str:
    """Return what the parameter keeps of a key: its SHA-256 in hexadecimal."""
    return hashlib.sha256(key.encode()).hexdigest()


def _new_key(source: str) -> tuple[str, Entry]:
    key = secrets.token_urlsafe(_RANDOM_BYTES)
    return key, {"source": source, "sha256": fingerprint(key), "created": _now()}


def _in_use(entries: list[Entry]) -> list[Entry]:
    return [entry for entry in entries if "revoked" not in entry]


def _fitting(entries: list[Entry]) -> str:
    """Return the parameter's value, without the keys revoked longest ago where there is no room for them."""
    kept = list(entries)
    while len(document := _document(kept)) > MAX_PARAMETER_BYTES:
        revoked = [entry for entry in kept if "revoked" in entry]
        if not revoked:
            size, count = len(document) // len(kept), len(kept)
            raise CommandError(
                f"no room: the parameter holds {MAX_PARAMETER_BYTES} bytes, which is {MAX_PARAMETER_BYTES // size} "
                f"keys of {size} bytes, and there are {count}: revoke one, or give keys fewer origins"
            )
        kept.remove(min(revoked, key=lambda entry: entry["revoked"]))
    return document


def _document(entries: list[Entry]) -> str:
    return json.dumps(entries, separators=(",", ":"))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
