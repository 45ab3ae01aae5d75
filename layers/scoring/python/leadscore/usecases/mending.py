"""Forgetting what the log does not back, so that applying the log again makes the rest right.

Pure. What is forgotten: claims that no event makes, owners that never claimed, states beside an owner, a state that
cannot be read, and claims that should have won their target and have not: made anew, they win it with all that this
takes.
"""

from __future__ import annotations

from dataclasses import replace

from leadscore.core.ruleset import Ruleset
from leadscore.core.state import State
from leadscore.usecases.records import StoredIdentity
from leadscore.usecases.snapshots import Snapshot, logged_claims, owned, unmet_claims


def forget_unbacked(ruleset: Ruleset, snapshot: Snapshot) -> list[StoredIdentity]:
    """Return the items that say what the log does not back, as they are without it, at the versions that were read."""
    items = snapshot.items
    mended = items | {one.identity: _without_unbacked_claims(snapshot, one) for one in snapshot.tree}
    for target, _ in owned(snapshot):
        one = mended[target.identity]
        mended[target.identity] = replace(one, body=None) if snapshot.is_backed(target) else replace(one, owner=None)
    root = mended[snapshot.root.identity]
    if root.body is not None and not snapshot.readable:
        body = replace(root.body, state=State.empty(ruleset).to_json())
        mended[root.identity] = replace(root, body=body)
    _forget_unmet_claims(ruleset, snapshot, mended)
    return [one for name, one in mended.items() if one != items[name]]


def _without_unbacked_claims(snapshot: Snapshot, one: StoredIdentity) -> StoredIdentity:
    claimed = {name: claim for name, claim in one.claimed.items() if snapshot.is_claim(one, name, claim)}
    return replace(one, claimed=claimed)


def _forget_unmet_claims(ruleset: Ruleset, snapshot: Snapshot, mended: dict[str, StoredIdentity]) -> None:
    """Forget those that the log makes again."""
    by_then = replace(
        snapshot,
        path=tuple(mended[one.identity] for one in snapshot.path),
        tree=tuple(mended[one.identity] for one in snapshot.tree),
        beside={name: mended[name] for name in snapshot.beside},
    )
    for claimer, target, _ in unmet_claims(by_then):
        if target.identity in logged_claims(ruleset, claimer.identity, snapshot.logs[claimer.identity]):
            one = mended[claimer.identity]
            claimed = {name: claim for name, claim in one.claimed.items() if name != target.identity}
            mended[one.identity] = replace(one, claimed=claimed)
