"""Write keys: AWS keeps their SHA-256 alone, so a key is shown once, when it is made."""

from __future__ import annotations

import hashlib
import json
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

_RANDOM_BYTES = 24  # 32 characters of URL-safe text


def ensure_write_key(ssm: SSMClient, parameter: str, known: str | None, source: str = "default") -> str:
    """Return a key that the parameter accepts: the known one if it does, else a new one that replaces `source`'s."""
    entries = _entries(ssm, parameter)
    if known is not None and any(entry["sha256"] == fingerprint(known) for entry in entries):
        return known
    key = secrets.token_urlsafe(_RANDOM_BYTES)
    kept = [entry for entry in entries if entry["source"] != source]
    _publish(ssm, parameter, [*kept, {"source": source, "sha256": fingerprint(key)}])
    return key


def first_write_key(ssm: SSMClient, parameter: str, source: str = "default") -> str | None:
    """Return a new key when the parameter holds none yet; None, and nothing changed, when it holds one."""
    return None if _entries(ssm, parameter) else ensure_write_key(ssm, parameter, None, source)


def fingerprint(key: str) -> str:
    """Return what the parameter keeps of a key: its SHA-256 in hexadecimal."""
    return hashlib.sha256(key.encode()).hexdigest()


def _entries(ssm: SSMClient, parameter: str) -> list[dict[str, str]]:
    entries: list[dict[str, str]] = json.loads(ssm.get_parameter(Name=parameter)["Parameter"]["Value"])
    return entries


def _publish(ssm: SSMClient, parameter: str, entries: list[dict[str, str]]) -> None:
    ssm.put_parameter(Name=parameter, Value=json.dumps(entries), Overwrite=True)
