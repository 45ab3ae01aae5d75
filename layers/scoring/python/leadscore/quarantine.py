"""Which events must not count: those of bots, of link scanners, of pages that nobody sees, and of our own people.

    event, edge -> judge -> a reason, or None: it counts

One document says what is judged; what it does not name is not. Invariant: a verdict depends on the event, on how it
came and on the document alone, so that a message that is delivered again is judged as it was.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from leadscore.core.documents import canonical_text, read_document
from leadscore.core.instants import Millis
from leadscore.core.patterns import Problem
from leadscore.core.sections import Section, open_section
from leadscore.edge import MAX_USER_AGENT_CHARACTERS, Edge
from leadscore.user_agents import is_crawler, is_link_scanner

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

# What stands in a user agent, so that a slip of the finger does not stop every browser.
MIN_NAME_CHARACTERS = 3
LEAST_BURST, LARGEST_BURST = 10, 1_000
SHORTEST_BURST, LONGEST_BURST = 1_000, 3_600_000
_DOMAIN = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z0-9-]*[a-z][a-z0-9-]*", re.IGNORECASE)
# Where an id is, which in many products is an e-mail address.
_ID_FIELDS = ("userId", "anonymousId", "previousId")
# An address has 320 characters at most (RFC 3696); what is longer would take long to look through.
LONGEST_ADDRESS = 320


class Reason(StrEnum):
    """Why an event does not count."""

    BOT = "bot"
    LINK_SCANNER = "link_scanner"
    PREFETCH = "prefetch"
    INTERNAL_DOMAIN = "internal_domain"
    INTERNAL_IP = "internal_ip"
    BURST = "burst"


class InvalidQuarantine(ValueError):
    """The document does not say what to judge; `errors` has every problem with its path, message and value."""

    def __init__(self, errors: Sequence[Problem]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(f"{error.path or 'quarantine'}: {error.message}" for error in self.errors))


@dataclass(frozen=True, slots=True)
class Burst:
    """So many events of one identity within such a time are no person's doing."""

    events: int
    within: Millis


@dataclass(frozen=True, slots=True)
class Quarantine:
    """What is judged; `document` is what it was made from, as canonical JSON. Names and domains are in lower case."""

    document: str
    bots: bool = False
    blocked: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    domains: frozenset[str] = frozenset()
    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    burst: Burst | None = None

    def judge(self, event: Mapping[str, object], edge: Edge) -> Reason | None:
        """Return why a normalised event must not count, None where by itself it does.

        What only many events show, and who was found to be one of our own before, is not seen here.
        """
        if self.domains and self._is_of_our_own(event):
            return Reason.INTERNAL_DOMAIN
        context = event.get("context")
        said = context if isinstance(context, Mapping) else {}
        if self.networks and self._is_from_inside(said.get("ip"), edge.ip):
            return Reason.INTERNAL_IP
        if self.bots and edge.prefetch:
            return Reason.PREFETCH
        return self._judge_user_agent(said.get("userAgent") or edge.user_agent)

    def _judge_user_agent(self, given: object) -> Reason | None:
        if not isinstance(given, str) or not (self.bots or self.blocked):
            return None
        agent = given[:MAX_USER_AGENT_CHARACTERS]
        folded = agent.lower()
        if any(name in folded for name in self.allowed):
            return None
        if any(name in folded for name in self.blocked):
            return Reason.BOT
        if self.bots and is_link_scanner(agent):
            return Reason.LINK_SCANNER
        return Reason.BOT if self.bots and is_crawler(agent) else None

    def _is_of_our_own(self, event: Mapping[str, object]) -> bool:
        traits = event.get("traits")
        email = traits.get("email") if isinstance(traits, Mapping) and event["type"] == "identify" else None
        return any(self._has_our_domain(text) for text in (email, *(event.get(field) for field in _ID_FIELDS)))

    def _has_our_domain(self, text: object) -> bool:
        """Return whether it is an e-mail address at one of the domains or below it."""
        if not isinstance(text, str) or "@" not in text or len(text) > LONGEST_ADDRESS:
            return False
        labels = text.strip().lower().rpartition("@")[2].split(".")
        return any(".".join(labels[start:]) in self.domains for start in range(len(labels)))

    def _is_from_inside(self, said: object, came_from: str | None) -> bool:
        """Return whether the visitor's address is one of ours: the one that the event tells, else the request's."""
        from ipaddress import ip_address

        for given in (said, came_from):
            try:
                address = ip_address(given.strip() if isinstance(given, str) else "")
            except ValueError:
                continue
            # 0.0.0.0 is what an SDK says that was told not to tell.
            if not address.is_unspecified:
                return any(address in network for network in self.networks)
        return False


def parse_quarantine(document: str) -> Quarantine:
    """Return what a YAML or JSON text says is to be judged; raises InvalidQuarantine with every problem found."""
    problems: list[Problem] = []
    clean = read_document(document, problems)
    section = open_section("quarantine", clean, "", problems) if clean is not None else None
    if section is None:
        raise InvalidQuarantine(problems)
    agents = _open_part(section, "user_agents", problems)
    internal = _open_part(section, "internal", problems)
    bursts = _open_part(section, "bursts", problems)
    quarantine = Quarantine(
        document=canonical_text(clean),
        bots=bool(section.flag("bots")),
        blocked=_entries(agents, "block", problems, _read_name),
        allowed=_entries(agents, "allow", problems, _read_name),
        domains=frozenset(_entries(internal, "domains", problems, _read_domain)),
        networks=_entries(internal, "ips", problems, _read_network),
        burst=_read_burst(bursts),
    )
    if problems:
        raise InvalidQuarantine(problems)
    return quarantine


def _open_part(section: Section, name: str, problems: list[Problem]) -> Section | None:
    """Return a part of the document, None where it is missing, null or no object."""
    if not section.has(name) or section.get(name) is None:
        return None
    return open_section(name, section.get(name), section.place(name), problems)


def _entries[T](section: Section | None, name: str, problems: list[Problem], read: Callable[[str], T]) -> tuple[T, ...]:
    """Return what `read` makes of each text in a list; what it refuses by a ValueError is reported with its place."""
    if section is None or not section.has(name):
        return ()
    listed = section.get(name)
    if not isinstance(listed, list):
        section.reject(name, "must be a list of texts")
        return ()
    found = []
    for place, entry in enumerate(listed):
        try:
            found.append(read(entry if isinstance(entry, str) else ""))
        except ValueError as error:
            problems.append(Problem(f"{section.place(name)}[{place}]", str(error), entry))
    return tuple(found)


def _read_name(text: str) -> str:
    folded = text.strip().lower()
    if len(folded) < MIN_NAME_CHARACTERS:
        raise ValueError(f"must be a part of a user agent, {MIN_NAME_CHARACTERS} characters at least")
    return folded


def _read_domain(text: str) -> str:
    if not _DOMAIN.fullmatch(text):
        raise ValueError("must be a domain, such as company.example")
    return text.lower()


def _read_network(text: str) -> IPv4Network | IPv6Network:
    # Imported where it is needed: most documents name no address, and a cold start pays for it.
    from ipaddress import ip_network

    try:
        return ip_network(text)
    except ValueError as error:
        raise ValueError(f"must be an address or a range, such as 203.0.113.0/24: {error}") from error


def _read_burst(section: Section | None) -> Burst | None:
    if section is None:
        return None
    section.require("events", "within")
    events = section.whole("events", LEAST_BURST, LARGEST_BURST)
    within = section.duration("within")
    if within is not None and not SHORTEST_BURST <= within <= LONGEST_BURST:
        section.reject("within", "must be from 1s up to 1h")
    return None if events is None or within is None else Burst(events, within)
