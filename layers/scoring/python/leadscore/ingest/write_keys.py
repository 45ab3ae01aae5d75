"""Who may send, and from where: write keys, kept as hashes, each the name of a source.

A write key is public by nature, so it opens this door and no other. The document in Parameter Store is a JSON list,
one object per key: `{"source": "web", "sha256": "<64 hexadecimal digits>", "created": "<instant>"}`, and where they
apply `"origins": ["https://app.example"]` (the pages that may send by it), `"server_only": true` and `"revoked":
"<instant>"`. Invariant: a restriction that is not understood opens nothing: the whole document is refused.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from string import hexdigits
from typing import Self

from leadscore.ingest.refusals import RequestRefusedError

_FIELDS = frozenset({"source", "sha256", "created", "origins", "server_only", "revoked"})


class InvalidWriteKeysError(ValueError):
    """The document of write keys is not of its form; the message names the entry, never a hash."""


@dataclass(frozen=True, slots=True)
class WriteKey:
    """The hash of one key, the source that its holder sends for, and where it may be used.

    With `origins` only pages of these send by it, with `server_only` no page does.
    """

    source: str
    digest: bytes
    origins: frozenset[str] = frozenset()
    server_only: bool = False

    def check_origin(self, origin: str | None) -> None:
        """Return if a request with that Origin header may use the key; raises RequestRefusedError with 403.

        A browser sends the header with every POST and no page can forge it. A program can, so this keeps a key from
        being used in other people's pages, and from being put into pages by mistake; it is no proof of who sends.
        """
        if self.server_only and origin is not None:
            raise RequestRefusedError(403, "server_only_key", "the write key is for servers, not for web pages")
        if self.origins and (origin is None or origin.lower() not in self.origins):
            raise RequestRefusedError(403, "origin_not_allowed", "the write key is bound to the pages of other origins")


@dataclass(frozen=True, slots=True)
class WriteKeys:
    """All keys that are accepted at this moment."""

    keys: Sequence[WriteKey]

    @classmethod
    def parse(cls, document: str) -> Self:
        """Return the keys of a JSON document that were not revoked; raises InvalidWriteKeysError."""
        try:
            entries = json.loads(document)
        except ValueError:
            raise InvalidWriteKeysError("the write keys are not JSON") from None
        if not isinstance(entries, list):
            raise InvalidWriteKeysError("the write keys are not a list")
        keys = [(_parse_key(entry, f"[{position}]"), entry) for position, entry in enumerate(entries)]
        return cls(tuple(key for key, entry in keys if "revoked" not in entry))

    def find(self, presented: str) -> WriteKey | None:
        """Return the key that `presented` is, or None, in a time that tells nothing about any key."""
        digest = sha256(presented.encode("utf-8", "surrogatepass")).digest()
        found = [key for key in self.keys if compare_digest(key.digest, digest)]
        return found[0] if found else None


def _parse_key(entry: object, path: str) -> WriteKey:
    if not isinstance(entry, dict):
        raise InvalidWriteKeysError(f"{path} is not an object")
    if not entry.keys() <= _FIELDS:
        raise InvalidWriteKeysError(f"{path} has a field that is not known here: deploy the version that wrote it")
    source, digest = entry.get("source"), entry.get("sha256")
    origins, server_only = entry.get("origins", []), entry.get("server_only", False)
    if not isinstance(source, str) or not source:
        raise InvalidWriteKeysError(f"{path}.source is missing or not text")
    if not isinstance(digest, str) or len(digest) != 64 or not set(digest) <= set(hexdigits):
        raise InvalidWriteKeysError(f"{path}.sha256 is not 64 hexadecimal digits")
    if not isinstance(origins, list) or not all(isinstance(origin, str) for origin in origins):
        raise InvalidWriteKeysError(f"{path}.origins is not a list of texts")
    if "origins" in entry and not origins:
        raise InvalidWriteKeysError(f"{path}.origins is empty: leave it out where any page may send")
    if not isinstance(server_only, bool):
        raise InvalidWriteKeysError(f"{path}.server_only is neither true nor false")
    return WriteKey(source, bytes.fromhex(digest), frozenset(map(str.lower, origins)), server_only)
