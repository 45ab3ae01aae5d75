"""Run many seeds and say what they did: `python -m tests.simulation SEEDS [FIRST]`; ends at the first fault."""

from __future__ import annotations

import sys

from tests.simulation.running import Totals, run_seed

_REPORT_EVERY = 1000


def main(seeds: int, first: int) -> int:
    """Run the seeds; return the exit code."""
    totals = Totals()
    for seed in range(first, first + seeds):
        faults = run_seed(seed, totals)
        if faults:
            sys.stdout.write("\n  ".join([f"seed {seed}:", *faults, ""]))
            return 1
        if totals.runs % _REPORT_EVERY == 0:
            sys.stderr.write(f"{totals.summary()}\n")
    sys.stdout.write(f"{totals.summary()}\n")
    return 0


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:]] or [10_000]
    raise SystemExit(main(numbers[0], numbers[1] if len(numbers) > 1 else 0))
