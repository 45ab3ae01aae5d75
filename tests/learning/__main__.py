"""Hold learning against known truth at full size: `python -m tests.learning`; some minutes. Exits 1 where it fails."""

from __future__ import annotations

import sys

from leadscore.learning.gating import suggest
from leadscore.learning.suggesting import Engine
from leadscore_cli.sample_company import SampleCompany
from tests.learning.acceptance import UNTIL, gate, hand_made, recover, reduce_slices, slices_of

ENGINES: tuple[Engine, ...] = ("changes", "start over")
SEEDS = 10
LEADS = 20_000
FEW_LEADS = 500
GATE_SEEDS = 50
GATE_LEADS = 12_000


def main() -> int:
    """Run all checks, say what each reached, and return the exit code."""
    held = [_check_recovery(), _check_silence(), _check_gate()]
    return 0 if all(held) else 1


def _say(held: bool, what: str) -> bool:
    sys.stdout.write(f"{'held  ' if held else 'FAILED'}  {what}\n")
    sys.stdout.flush()
    return held


def _check_recovery() -> bool:
    found = recover(range(SEEDS), LEADS)
    far = sum(distance > 3 for distance in found.distances)
    lost = max(abs(loss) for loss in found.auc_losses)
    return all(
        [
            _say(
                far == 0,
                f"start over: {len(found.distances)} criteria of {SEEDS} x {LEADS:,} leads, {far} further from "
                f"the truth than 3 bounds and half a step; the furthest {max(found.distances):.2f} bounds beyond it",
            ),
            _say(max(found.noise) <= 3, f"noise criteria: the furthest {max(found.noise):.2f} bounds from 0"),
            _say(lost <= 0.005, f"AUC on other leads: at most {lost:.4f} from the truth's"),
            _say(found.coverage >= 0.9, f"95 % intervals: {found.coverage:.1%} of {len(found.covered)} hold the truth"),
        ]
    )


def _check_silence() -> bool:
    rule = hand_made()
    shown = 0
    for seed in range(SEEDS):
        slices = reduce_slices(rule, slices_of(SampleCompany(FEW_LEADS, UNTIL, seed=seed)))
        shown += sum(bool(suggest(slices, rule, engine).changes) for engine in ENGINES)
    return _say(shown == 0, f"{FEW_LEADS} leads: {shown} suggestions of 2 engines in {SEEDS} companies")


def _check_gate() -> bool:
    outcome = gate(range(GATE_SEEDS), GATE_LEADS)
    worst = min(outcome.effects, default=0.0)
    mean = sum(outcome.effects) / max(1, len(outcome.effects))
    hidden = sum(outcome.hidden_effects) / max(1, len(outcome.hidden_effects))
    reported = [one.report_gain.value for one in outcome.suggestions if one.shown and one.report_gain is not None]
    return _say(
        worst >= -0.005,
        f"gate: {len(outcome.effects)} of {GATE_SEEDS} suggestions shown, effect on the last slice {mean:+.4f} on "
        f"average and {worst:+.4f} at worst (as reported {sum(reported) / max(1, len(reported)):+.4f}); "
        f"{len(outcome.hidden_effects)} found and not shown would have had {hidden:+.4f}",
    )


if __name__ == "__main__":
    raise SystemExit(main())
