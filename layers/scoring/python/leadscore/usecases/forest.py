"""Walking the forest of claims: from any identity to its lead, from a lead to all of its identities, and to their log.

Invariant: whatever changes the identities of a lead also writes the lead's own item, so that a decision made about
a lead that was reached by `load_path` fails on the lead's version when the way there is no longer true.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from leadscore.core.identity import Identity, meanings, possible_identities
from leadscore.core.instants import Millis
from leadscore.core.ruleset import Ruleset
from leadscore.core.state import StaleState, State, advance, merge
from leadscore.usecases.records import ConflictError, Event, LeadBody, Quarantined, Reader, StoredIdentity


def walk_up(reader: Reader, identity: Identity) -> list[StoredIdentity]:
    """Return the identity, its owner, and so on up to the root, which is the lead; each as it was when it was read."""
    path = [_load(reader, identity)]
    while (ownership := path[-1].owner) is not None:
        path.append(_load(reader, ownership.owner))
    return path


def load_path(reader: Reader, identity: Identity) -> list[StoredIdentity]:
    """Return what `walk_up` does where the whole way was there at one moment; raises ConflictError otherwise.

    The items are read one after another: only a way that is still there after its root was read led to that root.
    """
    path = walk_up(reader, identity)
    way = path[:-1]
    if way:
        again = reader.load_identities([step.identity for step in way])
        if any(again[step.identity].version != step.version for step in way):
            raise ConflictError("an identity moved while its lead was looked up")
    return path


def find_lead(reader: Reader, text: str, *, quarantined: bool = False) -> StoredIdentity | None:
    """Return the root of the lead that a person means by `text`, None where nothing was ever heard of it."""
    path = find_path(reader, text, quarantined=quarantined)
    return path[-1] if path else None


def find_path(reader: Reader, text: str, *, quarantined: bool = False) -> list[StoredIdentity]:
    """Return the way up from the identity that a person means by `text`; nothing where none was ever heard of.

    An identity whose events have all matched nothing was never written, and is its own root. With `quarantined`, so is
    one of which there is nothing but events that do not count.
    """
    for identity in meanings(text):
        path = walk_up(reader, identity)
        if path[0].version or reader.load_events(identity) or (quarantined and reader.load_quarantined(identity)):
            return path
    return []


def load_tree(reader: Reader, root: StoredIdentity) -> list[StoredIdentity]:
    """Return the root and every identity that belongs to it, the root first."""
    tree, level = [root], [root]
    while level:
        claimed = {identity for owner in level for identity in owner.claimed}
        found = reader.load_identities(claimed) if claimed else {}
        names = {owner.identity for owner in level}
        level = [one for one in found.values() if one.owner is not None and one.owner.owner in names]
        tree += level
    return tree


def load_log(reader: Reader, tree: Iterable[StoredIdentity], *, identify_only: bool = False) -> list[Event]:
    """Return the events of all the identities, all or `identify` alone, in no particular order."""
    return [event for one in tree for event in reader.load_events(one.identity, identify_only=identify_only)]


def load_kept(reader: Reader, tree: Iterable[StoredIdentity]) -> list[Quarantined]:
    """Return the quarantined events of all the identities, and of those ids that these events alone tell.

    What is not in the log claims nothing, so such an id is no part of the tree; one that is another's is not asked.
    """
    names = {one.identity for one in tree}
    kept = [each for name in sorted(names) for each in reader.load_quarantined(name)]
    told = {name for each in kept for name in possible_identities(each.event)} - names
    free = [one.identity for one in reader.load_identities(told).values() if not one.version] if told else []
    return kept + [each for name in sorted(free) for each in reader.load_quarantined(name)]


def replay(
    reader: Reader,
    ruleset: Ruleset,
    events: Iterable[Event],
    bodies: Sequence[LeadBody],
    at: Millis,
    without: Collection[str] = frozenset(),
) -> State:
    """Return the state that a log gives, on top of what `bodies` know from before the log begins.

    `without` are the message ids of events that now belong to another lead.
    """
    state = advance(State.empty(ruleset), events)
    begins = at - reader.retention
    for body in bodies:
        state = merge(state, State.lasting(ruleset, body.state, until=begins, without=without))
    return state


def load_state(
    reader: Reader, ruleset: Ruleset, root: StoredIdentity, at: Millis, without: Collection[str] = frozenset()
) -> State:
    """Return a lead's state under `ruleset`, replayed from the log where it was made under other patterns.

    A replay leaves out the events `without`: those that are in the log already and yet to be applied.
    """
    if root.body is None:
        return State.empty(ruleset)
    try:
        return State.from_json(ruleset, root.body.state)
    except StaleState:
        log = load_log(reader, load_tree(reader, root))
        applied = [event for event in log if event["messageId"] not in without]
        return replay(reader, ruleset, applied, [root.body], at)


def _load(reader: Reader, identity: Identity) -> StoredIdentity:
    return reader.load_identities([identity])[identity]
