"""Learning from conversions: what each criterion is worth, how well the score ranks, and what would rank better.

Everything here is a function of reduced counts of leads: standard library alone, no clock, no log, no AWS, and no
randomness but a generator that is passed in. No function on the way of an event imports it.
"""
