"""A lead as of any instant, past or future: its log replayed up to then, under whichever ruleset.

    what happened by then -> of all identities that the lead has now -> state -> score at the instant
    traits of its account  -> those known now that were known then, else from the logs of its members

A future instant assumes that nothing happens until then.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import islice

from leadscore.core.identity import Identity, display_id
from leadscore.core.instants import Millis, format_instant, from_datetime, parse_instant
from leadscore.core.ruleset import Ruleset
from leadscore.core.scoring import score_state
from leadscore.core.state import AccountState, State, advance, advance_account, merge
from leadscore.usecases.accounts import load_account_states
from leadscore.usecases.forest import find_lead, load_log, load_tree, walk_up
from leadscore.usecases.records import Event, Reader
from leadscore.usecases.standing import AccountTraits, AsOf, LeadView
from leadscore.usecases.timeline import TimelineQuery, read_timeline

# An account with more leads than this is not replayed: whoever asks waits for the answer.
MOST_MEMBERS = 200
_NEWEST = TimelineQuery()


def recall_lead(
    reader: Reader, ruleset: Ruleset, text: str, at: datetime, now: datetime, wanted: TimelineQuery = _NEWEST
) -> LeadView | None:
    """Return the lead that `text` names by any of its identities as of `at`, or None where nothing is known of it.

    What the log no longer has is taken from the lead's stored state, as far as that still says it.
    """
    root = find_lead(reader, text)
    if root is None or root.erased:
        return None
    tree, instant = load_tree(reader, root), from_datetime(at)
    begins = from_datetime(now) - reader.retention
    log = _until(load_log(reader, tree), instant)
    state = advance(State.empty(ruleset), log)
    if root.body is not None:
        state = merge(state, State.lasting(ruleset, root.body.state, until=min(begins, instant + 1)))
    account, known = _recall_account(reader, ruleset, state.account, instant)
    return LeadView(
        lead=display_id(root.identity),
        identities=[one.identity for one in tree],
        state=state,
        score=score_state(state, at, account),
        timeline=read_timeline(log, wanted),
        as_of=AsOf(
            at=format_instant(instant),
            log_begins=format_instant(begins) if instant < begins else None,
            account_traits=known,
        ),
    )


def _recall_account(
    reader: Reader, ruleset: Ruleset, name: str | None, at: Millis
) -> tuple[AccountState | None, AccountTraits]:
    """Return what was known of an account, and where that is from.

    A trait whose newest value is no newer than the instant had that value then; any other had an older one or none.
    """
    present = load_account_states(reader, ruleset, [name]).get(name)
    if name is None or present is None:
        return present, "exact"
    known = AccountState(ruleset, {trait: said for trait, said in present.claims.items() if said.time <= at})
    if len(known.claims) == len(present.claims):
        return present, "exact"
    members = [identity for _, identity in islice(reader.walk_members(name), MOST_MEMBERS + 1)]
    if len(members) > MOST_MEMBERS:
        return known, "newest known"
    said = [event for event in _logs_of(reader, members) if event.get("groupId") == name]
    return advance_account(known, _until(said, at)), "replayed"


def _logs_of(reader: Reader, members: Iterable[Identity]) -> list[Event]:
    roots = {root.identity: root for root in (walk_up(reader, member)[-1] for member in members)}
    return [event for root in roots.values() for event in load_log(reader, load_tree(reader, root))]


def _until(events: Iterable[Event], at: Millis) -> list[Event]:
    return [event for event in events if parse_instant(str(event["timestamp"])) <= at]
