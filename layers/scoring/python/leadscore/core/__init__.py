"""The pure core: rulesets, matching, state and scores as functions of their arguments alone.

Nothing here reads a clock, the environment, randomness, a log or AWS; import-linter and ruff hold it to that.
"""
