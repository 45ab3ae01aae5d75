"""Who may send: write keys, kept as hashes, each the name of a source.

A write key is public by nature, so it opens this door and no other. The document in Parameter Store is a JSON list,
one object per key: `[{"source": "default", "sha256": "<64 hexadecimal digits>"}]`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from string import hexdigits
from typing import Self


class InvalidWriteKeysError(ValueError):
    """The document of write keys is not of its form; the message names the entry, never a hash."""


@dataclass(frozen=True, slots=True)
class WriteKey:
    """The hash of one key, and the source that its holder sends for."""

    source: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class WriteKeys:
    """All keys that are accepted at this moment."""

    keys: Sequence[WriteKey]

    @classmethod
    def parse(cls, document: str) -> Self:
        """Return the keys of a JSON document; raises InvalidWriteKeysError."""
        try:
            entries = json.loads(document)
        except ValueError:
            raise InvalidWriteKeysError("the write keys are not JSON") from None
        if not isinstance(entries, list):
            raise InvalidWriteKeysError("the write keys are not a list")
        return cls(tuple(_parse_key(entry, f"[{position}]") for position, entry in enumerate(entries)))

    def source_of(self, presented: str) -> str | None:
        """Return the source that `presented` is the key of, or None, in a time that tells nothing about any key."""
        digest = sha256(presented.encode("utf-8", "surrogatepass")).digest()
        found = [key.source for key in self.keys if compare_digest(key.digest, digest)]
        return found[0] if found else None


def _parse_key(entry: object, path: str) -> WriteKey:
    if not isinstance(entry, dict):
        raise InvalidWriteKeysError(f"{path} is not an object")
    source, digest = entry.get("source"), entry.get("sha256")
    if not isinstance(source, str) or not source:
        raise InvalidWriteKeysError(f"{path}.source is missing or not text")
    if not isinstance(digest, str) or len(digest) != 64 or not set(digest) <= set(hexdigits):
        raise InvalidWriteKeysError(f"{path}.sha256 is not 64 hexadecimal digits")
    return WriteKey(source, bytes.fromhex(digest))
