"""What the front door alone knows of an event: from where and by what it was sent.

It goes along with the event to whoever judges it (leadscore.quarantine), and no further: it is in no log.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

# A browser's is about 120 characters; the rest would only be work for whoever reads it.
MAX_USER_AGENT_CHARACTERS = 512
# https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/Sec-Purpose, and what browsers sent before it.
_PURPOSE_HEADERS = ("sec-purpose", "purpose", "x-purpose", "x-moz")
_AHEAD_OF_TIME = ("prefetch", "prerender", "preview")


@dataclass(frozen=True, slots=True)
class Edge:
    """How an event came: from which address, by which browser, and whether nobody may ever see its page.

    `user_agent` is None where it was no browser's request. Personal data: do not log it, do not store it.
    """

    ip: str | None = None
    user_agent: str | None = None
    prefetch: bool = False

    @classmethod
    def of_request(cls, headers: Mapping[str, str], ip: str | None) -> Self:
        """Return the edge of a request; header names are in lower case.

        A server's SDK names itself where a browser names itself, and is no bot for it: only a page's request has an
        origin or a referrer.
        """
        from_page = "origin" in headers or "referer" in headers
        agent = headers.get("user-agent", "")[:MAX_USER_AGENT_CHARACTERS] if from_page else ""
        purposes = " ".join(headers.get(name, "") for name in _PURPOSE_HEADERS).lower()
        return cls(ip or None, agent or None, any(word in purposes for word in _AHEAD_OF_TIME))

    @classmethod
    def from_json(cls, content: object) -> Self:
        """Return the edge in a message; what is missing or of no use there is not known."""
        found = content if isinstance(content, dict) else {}
        ip, agent = found.get("ip"), found.get("userAgent")
        return cls(
            ip if isinstance(ip, str) else None,
            agent if isinstance(agent, str) else None,
            found.get("prefetch") is True,
        )

    def to_json(self) -> dict[str, object]:
        """Return what is known, as plain JSON types."""
        known = {"ip": self.ip, "userAgent": self.user_agent, "prefetch": self.prefetch}
        return {name: value for name, value in known.items() if value}
