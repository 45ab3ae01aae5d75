"""Leadscore: how likely a lead is to become a customer, as a pure function of its events, a ruleset and an instant.

These names are the public face; everything else may change. Each is loaded when it is first asked for, so that a
function which needs one module of this package does not pay for the others at its cold start.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from leadscore.core.parsing import InvalidRuleset as InvalidRuleset
    from leadscore.core.parsing import parse_ruleset as parse_ruleset
    from leadscore.core.patterns import Problem as Problem
    from leadscore.core.ruleset import Ruleset as Ruleset
    from leadscore.core.ruleset import match as match
    from leadscore.core.scoring import Factor as Factor
    from leadscore.core.scoring import Score as Score
    from leadscore.core.scoring import score_events as score_events
    from leadscore.core.scoring import score_state as score_state
    from leadscore.core.state import AccountState as AccountState
    from leadscore.core.state import StaleState as StaleState
    from leadscore.core.state import State as State
    from leadscore.core.state import advance as advance
    from leadscore.core.state import advance_account as advance_account
    from leadscore.core.state import merge as merge
    from leadscore.core.state import touches as touches

_HOMES = {
    "AccountState": "state",
    "Factor": "scoring",
    "InvalidRuleset": "parsing",
    "Problem": "patterns",
    "Ruleset": "ruleset",
    "Score": "scoring",
    "StaleState": "state",
    "State": "state",
    "advance": "state",
    "advance_account": "state",
    "match": "ruleset",
    "merge": "state",
    "parse_ruleset": "parsing",
    "score_events": "scoring",
    "score_state": "scoring",
    "touches": "state",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> object:
    """Load a public name from its module, once."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"leadscore.core.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
