"""Leads from files of their events, with nothing deployed: what the table's log would say had they been imported.

    lines --normalised--> by strongest identity --claims--> whose each identity is --> one History a lead, complete

Who an event is about follows from the claims alone, as everywhere: the first by (event time, message id) holds.
Invariant: each lead comes once, with every event of all its identities, and what was said of its account by others.
An event waits as its text, so that memory goes by the size of the files. May contain personal data: do not log.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from leadscore.archive_lines import DamagedArchiveError, read_lines
from leadscore.core.identity import Identity, Ownership, claimed_by, identities
from leadscore.core.instants import Millis, parse_instant
from leadscore.core.ruleset import IdentityPolicy
from leadscore.core.traits import canonical_json
from leadscore.learning.sampling import Sample, Sampler, Sampling
from leadscore.normalising import InvalidEvent, NormalisedEvent
from leadscore.usecases.histories import History
from leadscore.usecases.importing import UnreadableSourceError, read_past_event
from leadscore_cli.failures import CommandError
from leadscore_cli.import_sources import find_files

type Advance = Callable[[int], None]


@dataclass(slots=True)
class EventHistories:
    """The leads of some files of events; goes over all of them each time it is iterated.

    `newest` is the time of the newest event: what came after it is not known, so that is the end of all there is to
    learn from. `rejected` counts lines that are no events, by code.
    """

    events: int = 0
    newest: Millis = 0
    rejected: Counter[str] = field(default_factory=Counter)
    _logs: defaultdict[Identity, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    _owners: dict[Identity, Ownership] = field(default_factory=dict)
    _groups: defaultdict[str, list[tuple[Millis, str, bytes]]] = field(default_factory=lambda: defaultdict(list))

    def __len__(self) -> int:
        return len(self._trees())

    def __iter__(self) -> Iterator[History]:
        accounts: dict[str, list[NormalisedEvent]] = {}
        for lead, tree in self._trees().items():
            events = _each_once(json.loads(text) for identity in tree for text in self._logs.get(identity, ()))
            named = {str(event["groupId"]) for event in events if event.get("groupId")}
            for account in named - accounts.keys():
                accounts[account] = _telling(self._groups.get(account, ()))
            own = {event["messageId"] for event in events}
            others = [e for account in sorted(named) for e in accounts[account] if e["messageId"] not in own]
            owners = {identity: self._owners[identity] for identity in tree if identity in self._owners}
            yield History(lead=lead, events=events, account_events=others, body=None, owners=owners)

    def add(self, event: NormalisedEvent, policy: IdentityPolicy) -> None:
        """Take one event in."""
        at, text = parse_instant(str(event["timestamp"])), json.dumps(event, separators=(",", ":")).encode()
        self.events += 1
        self.newest = max(self.newest, at)
        self._logs[identities(event, policy)[0]].append(text)
        for identity, claim in claimed_by(event, policy).items():
            self._owners[identity] = min(claim, self._owners.get(identity, claim))
        if event["type"] == "group":
            self._groups[str(event["groupId"])].append((at, str(event["messageId"]), text))

    def _trees(self) -> Mapping[Identity, Sequence[Identity]]:
        """Return the identities of each lead that has events, by its root, in the order in which they came."""
        trees: defaultdict[Identity, list[Identity]] = defaultdict(list)
        for identity in self._logs:
            root = identity
            while root in self._owners:
                root = self._owners[root].owner
            trees[root].append(identity)
        return trees


def read_event_histories(
    paths: Sequence[str], policy: IdentityPolicy, now: Millis, advance: Advance = lambda _read: None
) -> EventHistories:
    """Return the leads of files and folders of NDJSON, plain or gzip, as `leadscore import` takes them; - is stdin.

    `advance` is told of the bytes that were read. Raises CommandError where a file cannot be read, or holds no event.
    """
    histories = EventHistories()
    for source in find_files(paths):
        try:
            for line in read_lines(source.watched(advance)):
                if line.text is not None and not line.text.strip():
                    continue
                try:
                    histories.add(read_past_event(line, now), policy)
                except InvalidEvent as problem:
                    histories.rejected[problem.code] += 1
        except (DamagedArchiveError, UnreadableSourceError) as problem:
            raise CommandError(f"{source.name} cannot be read: {problem}") from problem
    if not histories.events:
        lines = f"; {histories.rejected.total()} lines are none" if histories.rejected else ""
        raise CommandError(f"no events in {', '.join(paths)}{lines}")
    return histories


def sample_events(histories: EventHistories, sampling: Sampling, advance: Advance = lambda _leads: None) -> Sample:
    """Return the sample of all leads; `advance` is told of the leads that were counted."""
    sampler = Sampler(sampling)
    for history in histories:
        sampler.add(history)
        advance(1)
    return sampler.sample()


def _each_once(events: Iterator[NormalisedEvent]) -> list[NormalisedEvent]:
    """Return the events without repeats: the log keeps the first of a message id."""
    first: dict[object, NormalisedEvent] = {}
    for event in events:
        first.setdefault(event["messageId"], event)
    return list(first.values())


def _telling(groups: Sequence[tuple[Millis, str, bytes]]) -> list[NormalisedEvent]:
    """Return the `group` events of one account that changed its traits: of all the others it is told again by each.

    At any moment the traits are what they are with all of them.
    """
    known: dict[str, str] = {}
    told = []
    for _, _, text in sorted(groups):
        event: NormalisedEvent = json.loads(text)
        traits = event.get("traits")
        said = {name: canonical_json(value) for name, value in traits.items()} if isinstance(traits, Mapping) else {}
        if any(known.get(name) != value for name, value in said.items()):
            told.append(event)
            known |= said
    return told
