"""What SDKs ask for beside sending events: their settings, and a place for figures about themselves.

Invariant: a document depends on nothing but the request's URL. So it can be cached, tells nobody whether a key is
valid, and is there while Parameter Store is not. A key that is not valid gets the same one, since a browser SDK
without settings never starts: it keeps the page's calls for ever, and a page that awaits one of them hangs. With
settings that lead here it starts, its events are refused, and it drops them; without an `apiHost` it would send them
to its own vendor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from string import ascii_letters, digits

from leadscore.ingest.requests import IngestRequest

CACHE_SECONDS = 300
_KEY_CHARACTERS = frozenset(ascii_letters + digits + "-_")
_MAX_KEY_CHARACTERS = 128


@dataclass(frozen=True, slots=True)
class Document:
    """A JSON document, and for how long whoever asks may keep it."""

    content: Mapping[str, object]
    cache_seconds: int


def find_document(request: IngestRequest) -> Document | None:
    """Return the document that the request asks for, or None where it asks for none."""
    match request.method, *request.segments:
        case ("GET" | "HEAD", *_, "projects", write_key, "settings"):
            return Document(_segment_settings(request, write_key), CACHE_SECONDS)
        case ("GET" | "HEAD", *_, "sourceConfig"):
            return Document(_RUDDERSTACK_SOURCE_CONFIG, CACHE_SECONDS)
        case ("POST", *_, "m"):
            # Older versions of Segment's SDK count their own calls, and log an error where nobody takes the counts.
            return Document({"success": True}, 0)
    return None


def _segment_settings(request: IngestRequest, write_key: str) -> dict[str, object]:
    """Return what Segment's SDKs load from `/v1/projects/{write key}/settings`."""
    settings = {
        # Left out, events would carry no key at all. What cannot be one of ours is not repeated.
        "apiKey": write_key if _may_be_a_key(write_key) else "",
        "apiHost": request.host + request.base_path(3),
        "protocol": request.scheme,
        "addBundledMetadata": False,
        "unbundledIntegrations": [],
        "maybeBundledConfigIds": {},
    }
    return {
        "integrations": {"Segment.io": settings},
        "plan": {},
        "edgeFunction": {},
        "middlewareSettings": {},
        "enabledMiddleware": {},
        "remotePlugins": [],
        "legacyVideoPluginsEnabled": False,
        "analyticsNextEnabled": True,
        "metrics": {"sampleRate": 0},
    }


def _may_be_a_key(text: str) -> bool:
    return len(text) <= _MAX_KEY_CHARACTERS and set(text) <= _KEY_CHARACTERS


# What RudderStack's SDKs load from `/sourceConfig`. There are no `dataplanes`: older versions would prefer one to the
# URL that the page gives, which may be a proxy of its own. Its reports about itself would go to a path not served here.
_RUDDERSTACK_SOURCE_CONFIG: Mapping[str, object] = {
    "source": {
        "id": "leadscore",
        "name": "leadscore",
        "workspaceId": "leadscore",
        "enabled": True,
        "config": {"statsCollection": {"errors": {"enabled": False}, "metrics": {"enabled": False}}},
        "destinations": [],
        "connections": [],
    },
    "consentManagementMetadata": {"providers": []},
}
