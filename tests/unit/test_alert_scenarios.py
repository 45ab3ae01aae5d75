"""The alert policy over simulated weeks: which alerts go out when, and who is not told of and why.

How a story is written is said in alert_story.py. A trial gives 45 points, a look at the pricing 15 for a day, an
invited team 50 for three days, a pause takes 20 for a day; hot is 50, and being a VP is 10 points of fit.
"""

from __future__ import annotations

import pytest

from tests.unit.alert_story import play, read_story

STORIES = {
    "crossing once, then staying and rising": """
        policy: {tier: hot}

        Mon 2026-03-02 10:00  ann does Trial Started
        Mon 2026-03-02 11:00  ann is {title: VP}
        Mon 2026-03-02 11:00  > alert: ann entered hot
        Mon 2026-03-02 12:00  ann does Team Invited
        Mon 2026-03-30 12:00  end
    """,
    "flapping around the threshold tells once": """
        policy: {tier: hot, rearm_below: 40, cooldown: 7d}

        Mon 2026-03-02 10:00  ann does Trial Started
        Tue 2026-03-03 10:00  ann does Pricing Viewed
        Tue 2026-03-03 10:00  > alert: ann entered hot
        Thu 2026-03-05 10:00  ann does Pricing Viewed
        Thu 2026-03-05 10:00  x ann: within the cooldown of the last alert
        Mon 2026-03-16 10:00  ann does Pricing Viewed
        Mon 2026-03-16 10:00  x ann: has not been below 40 since the last alert
        Wed 2026-03-18 10:00  ann does Pricing Viewed
        Wed 2026-03-18 10:00  x ann: has not been below 40 since the last alert
        Fri 2026-04-03 10:00  end
    """,
    "having been below the re-arm line, a lead is news again once its cooldown is over": """
        policy: {tier: hot, rearm_below: 40, cooldown: 7d}

        Mon 2026-03-02 10:00  ann does Team Invited
        Mon 2026-03-02 10:00  > alert: ann entered hot
        Sat 2026-03-07 10:00  ann does Team Invited
        Sat 2026-03-07 10:00  x ann: within the cooldown of the last alert
        Wed 2026-03-11 10:00  ann does Team Invited
        Wed 2026-03-11 10:00  > alert: ann entered hot
        Fri 2026-03-20 10:00  end
    """,
    "the cooldown's end is its first free instant": """
        policy: {tier: hot, cooldown: 7d}

        Mon 2026-03-02 10:00  ann does Team Invited
        Mon 2026-03-02 10:00  > alert: ann entered hot
        Mon 2026-03-09 10:00  ann does Team Invited
        Mon 2026-03-09 10:00  > alert: ann entered hot
        Mon 2026-03-30 10:00  end
    """,
    "a burst of events is one alert after the settling time": """
        policy: {tier: hot, delay: 5m, account_cooldown: 1d}

        Mon 2026-03-02 10:00  ann joins acme
        Mon 2026-03-02 10:00  bob joins acme
        Mon 2026-03-02 10:00  ann does Team Invited
        Mon 2026-03-02 10:01  ann does Trial Started
        Mon 2026-03-02 10:02  ann does Pricing Viewed
        Mon 2026-03-02 10:03  bob does Team Invited
        Mon 2026-03-02 10:05  > alert: ann entered hot; bob entered hot
        Mon 2026-03-30 10:00  end
    """,
    "a tier that was passed through within the settling time is no alert, and the next entry is": """
        policy: {tier: hot, rearm_below: 40, delay: 5m}

        Mon 2026-03-02 10:00  ann does Trial Started
        Mon 2026-03-02 10:00  ann does Pricing Viewed
        Mon 2026-03-02 10:02  ann does Paused
        Mon 2026-03-02 10:05  x ann: is no longer hot
        Wed 2026-03-04 10:00  ann does Pricing Viewed
        Wed 2026-03-04 10:05  > alert: ann entered hot
        Mon 2026-03-30 10:00  end
    """,
    "whoever is back before the alert went out is told of at its time": """
        policy: {tier: hot, rearm_below: 40, delay: 30m}

        Mon 2026-03-02 10:00  ann does Trial Started
        Mon 2026-03-02 10:00  ann does Pricing Viewed
        Mon 2026-03-02 10:10  ann does Paused
        Mon 2026-03-02 10:20  ann does Team Invited
        Mon 2026-03-02 10:30  > alert: ann entered hot
        Mon 2026-03-30 10:00  end
    """,
    "what comes at the weekend and at night waits for the morning": """
        clock: Europe/Berlin
        policy: {tier: hot, hours: {time_zone: Europe/Berlin, from: "09:00", to: "17:00"}}

        Fri 2026-03-06 16:59  ann does Team Invited
        Fri 2026-03-06 16:59  > alert: ann entered hot
        Fri 2026-03-06 17:00  bob does Team Invited
        Sun 2026-03-08 12:00  cid does Team Invited
        Mon 2026-03-09 08:59  dan does Team Invited
        Mon 2026-03-09 09:00  > alert: bob entered hot
        Mon 2026-03-09 09:00  > alert: cid entered hot
        Mon 2026-03-09 09:00  > alert: dan entered hot
        Mon 2026-03-09 09:01  eve does Team Invited
        Mon 2026-03-09 09:01  > alert: eve entered hot
        Tue 2026-03-10 03:00  fay does Team Invited
        Tue 2026-03-10 09:00  > alert: fay entered hot
        Mon 2026-03-30 10:00  end
    """,
    "the settling time may end outside working hours": """
        clock: Europe/Berlin
        policy: {tier: hot, delay: 2m, hours: {time_zone: Europe/Berlin, from: "09:00", to: "17:00"}}

        Wed 2026-03-04 16:58  ann does Team Invited
        Thu 2026-03-05 08:57  bob does Team Invited
        Thu 2026-03-05 08:59  cid does Team Invited
        Thu 2026-03-05 09:00  > alert: ann entered hot
        Thu 2026-03-05 09:00  > alert: bob entered hot
        Thu 2026-03-05 09:01  > alert: cid entered hot
        Mon 2026-03-30 10:00  end
    """,
    "who cooled over the weekend is not told of on Monday, and is news when it returns": """
        clock: Europe/Berlin
        policy:
          tier: hot
          rearm_below: 40
          hours: {time_zone: Europe/Berlin, from: "09:00", to: "17:00"}

        Thu 2026-03-05 10:00  ann does Trial Started
        Fri 2026-03-06 20:00  ann does Pricing Viewed
        Mon 2026-03-09 09:00  x ann: is no longer hot
        Mon 2026-03-09 11:00  ann does Pricing Viewed
        Mon 2026-03-09 11:00  > alert: ann entered hot
        Fri 2026-03-13 11:00  ann does Pricing Viewed
        Fri 2026-03-13 11:00  x ann: within the cooldown of the last alert
        Mon 2026-03-30 10:00  end
    """,
    "the morning after clocks went forward comes an hour earlier in UTC, by the clock at nine": """
        clock: Europe/Berlin
        policy: {tier: hot, hours: {time_zone: Europe/Berlin, days: [mon, sun], from: "02:30", to: "17:00"}}

        Sat 2026-03-28 12:00  ann does Team Invited
        Sun 2026-03-29 03:00  > alert: ann entered hot
        Sun 2026-03-29 18:00  bob does Team Invited
        Mon 2026-03-30 02:30  > alert: bob entered hot
        Mon 2026-04-20 10:00  end
    """,
    "a cooldown is so many hours, whatever clocks do": """
        clock: Europe/Berlin
        policy: {tier: hot, cooldown: 7d}

        Mon 2026-03-23 10:00  ann does Team Invited
        Mon 2026-03-23 10:00  > alert: ann entered hot
        Mon 2026-03-30 10:30  ann does Team Invited
        Mon 2026-03-30 10:30  x ann: within the cooldown of the last alert
        Mon 2026-04-06 11:00  ann does Team Invited
        Mon 2026-04-06 11:00  > alert: ann entered hot
        Mon 2026-04-20 10:00  end
    """,
    "the night that clocks go back holds alerts an hour longer": """
        clock: Europe/Berlin
        policy: {tier: hot, hours: {time_zone: Europe/Berlin, days: [sun], from: "02:00", to: "12:00"}}

        Sat 2026-10-24 22:00  ann does Team Invited
        Sun 2026-10-25 02:00  > alert: ann entered hot
        Sun 2026-10-25 12:00  bob does Team Invited
        Mon 2026-10-26 09:00  bob does Team Invited
        Thu 2026-10-29 09:00  bob does Team Invited
        Sun 2026-11-01 02:00  > alert: bob entered hot
        Mon 2026-11-30 10:00  end
    """,
    "of an account with ten hot people one is told of at once, and nine in one follow-up": """
        policy: {tier: hot, account_cooldown: 1d}

        Mon 2026-03-02 09:00  p01 joins acme
        Mon 2026-03-02 09:00  p02 joins acme
        Mon 2026-03-02 09:00  p03 joins acme
        Mon 2026-03-02 09:00  p04 joins acme
        Mon 2026-03-02 09:00  p05 joins acme
        Mon 2026-03-02 09:00  p06 joins acme
        Mon 2026-03-02 09:00  p07 joins acme
        Mon 2026-03-02 09:00  p08 joins acme
        Mon 2026-03-02 09:00  p09 joins acme
        Mon 2026-03-02 09:00  p10 joins acme
        Mon 2026-03-02 10:00  p01 does Team Invited
        Mon 2026-03-02 10:00  > alert: p01 entered hot
        Mon 2026-03-02 10:10  p02 does Team Invited
        Mon 2026-03-02 10:20  p03 does Team Invited
        Mon 2026-03-02 10:30  p04 does Team Invited
        Mon 2026-03-02 10:40  p05 does Team Invited
        Mon 2026-03-02 10:50  p06 does Team Invited
        Mon 2026-03-02 11:00  p07 does Team Invited
        Mon 2026-03-02 11:00  p07 is {title: VP}
        Mon 2026-03-02 11:10  p08 does Team Invited
        Mon 2026-03-02 11:20  p09 does Team Invited
        Mon 2026-03-02 11:30  p10 does Team Invited
        Mon 2026-03-02 18:00  p03 does Subscription Started
        Mon 2026-03-02 19:00  p04 is {email: p04@rival.example}
        Tue 2026-03-03 10:00  > follow-up: p07 entered hot; p02 entered hot; p05 entered hot;
                              p06 entered hot; p08 entered hot; p09 entered hot; p10 entered hot
        Tue 2026-03-03 10:00  x p03: has converted
        Tue 2026-03-03 10:00  x p04: is disqualified
        Mon 2026-03-30 10:00  end
    """,
    "leads without an account wait for nobody, nor do other accounts": """
        policy: {tier: hot, account_cooldown: 1d}

        Mon 2026-03-02 09:00  ann joins acme
        Mon 2026-03-02 09:00  bob joins beta
        Mon 2026-03-02 10:00  ann does Team Invited
        Mon 2026-03-02 10:00  > alert: ann entered hot
        Mon 2026-03-02 10:01  bob does Team Invited
        Mon 2026-03-02 10:01  > alert: bob entered hot
        Mon 2026-03-02 10:02  cid does Team Invited
        Mon 2026-03-02 10:02  > alert: cid entered hot
        Mon 2026-03-02 10:03  dan does Team Invited
        Mon 2026-03-02 10:03  > alert: dan entered hot
        Mon 2026-03-30 10:00  end
    """,
    "after a quiet time the next lead of an account is an alert of its own": """
        policy: {tier: hot, account_cooldown: 1d}

        Mon 2026-03-02 09:00  ann joins acme
        Mon 2026-03-02 09:00  bob joins acme
        Mon 2026-03-02 10:00  ann does Team Invited
        Mon 2026-03-02 10:00  > alert: ann entered hot
        Tue 2026-03-03 10:00  bob does Team Invited
        Tue 2026-03-03 10:00  > alert: bob entered hot
        Mon 2026-03-30 10:00  end
    """,
    "a follow-up whose account's cooldown ends at night waits for the morning": """
        policy: {tier: hot, account_cooldown: 12h, hours: {time_zone: UTC, from: "09:00", to: "17:00"}}

        Mon 2026-03-02 09:00  ann joins acme
        Mon 2026-03-02 09:00  bob joins acme
        Mon 2026-03-02 10:00  ann does Team Invited
        Mon 2026-03-02 10:00  > alert: ann entered hot
        Mon 2026-03-02 10:05  bob does Team Invited
        Mon 2026-03-02 23:00  cid joins acme
        Mon 2026-03-02 23:00  cid does Team Invited
        Tue 2026-03-03 09:00  > follow-up: bob entered hot; cid entered hot
        Mon 2026-03-30 10:00  end
    """,
    "who converts while the alert waits is not told of": """
        policy: {tier: hot, hours: {time_zone: UTC, from: "09:00", to: "17:00"}}

        Sat 2026-03-07 10:00  ann does Trial Started
        Sat 2026-03-07 10:00  ann does Pricing Viewed
        Sat 2026-03-07 11:00  bob does Team Invited
        Sun 2026-03-08 10:00  bob does Subscription Started
        Sun 2026-03-08 22:00  ann does Team Invited
        Mon 2026-03-09 09:00  > alert: ann entered hot
        Mon 2026-03-09 09:00  x bob: has converted
        Mon 2026-03-30 10:00  end
    """,
    "customers are not told of": """
        policy: {tier: hot}

        Mon 2026-03-02 10:00  ann does Subscription Started
        Mon 2026-03-02 11:00  ann does Team Invited
        Mon 2026-03-02 11:00  x ann: has converted
        Mon 2026-03-30 10:00  end
    """,
    "a policy may ask for customers": """
        policy: {tier: hot, suppress: {converted: false}}

        Mon 2026-03-02 10:00  ann does Subscription Started
        Mon 2026-03-02 11:00  ann does Team Invited
        Mon 2026-03-02 11:00  > alert: ann entered hot
        Mon 2026-03-30 10:00  end
    """,
    "a rival is never told of, and who is none after all is": """
        policy: {tier: hot, always: [Demo Requested], cooldown: 1d}

        Mon 2026-03-02 10:00  ann does Trial Started
        Mon 2026-03-02 10:10  ann does Demo Requested
        Mon 2026-03-02 10:10  > alert: ann raised its hand (Demo Requested)
        Wed 2026-03-04 11:00  bob does Team Invited
        Wed 2026-03-04 11:00  > alert: bob entered hot
        Thu 2026-03-05 10:00  eve is {email: eve@rival.example}
        Thu 2026-03-05 10:20  eve does Team Invited
        Thu 2026-03-05 10:30  eve does Demo Requested
        Thu 2026-03-05 10:30  x eve: is disqualified
        Thu 2026-03-05 11:00  eve is {email: eve@acme.example}
        Thu 2026-03-05 11:00  > alert: eve entered hot
        Mon 2026-03-30 10:00  end
    """,
    "who turns out to be a rival by what made it hot is on record as such": """
        policy: {tier: warm}

        Mon 2026-03-02 10:00  ann does Pricing Viewed
        Mon 2026-03-02 10:00  ann is {email: ann@rival.example}
        Mon 2026-03-02 11:00  bob does Trial Started
        Mon 2026-03-02 11:00  > alert: bob entered warm
        Mon 2026-03-02 12:00  bob is {email: bob@rival.example}
        Mon 2026-03-30 10:00  end
    """,
    "our own people are never told of": """
        policy: {tier: hot, always: [Demo Requested], suppress: {internal: {email: [{suffix: "@ourselves.example"}]}}}

        Mon 2026-03-02 10:00  ann is {email: ann@ourselves.example}
        Mon 2026-03-02 10:01  ann does Team Invited
        Mon 2026-03-02 10:01  x ann: is internal
        Mon 2026-03-02 10:02  ann does Demo Requested
        Mon 2026-03-02 10:02  x ann: is internal
        Mon 2026-03-02 10:03  bob is {email: bob@acme.example}
        Mon 2026-03-02 10:03  bob does Team Invited
        Mon 2026-03-02 10:03  > alert: bob entered hot
        Mon 2026-03-30 10:00  end
    """,
    "a demo request is told of at any score, and once": """
        policy: {tier: hot, min_fit: 10, delay: 1h, cooldown: 7d, always: [Demo Requested, Call Requested]}

        Mon 2026-03-02 10:00  ann does Demo Requested
        Mon 2026-03-02 10:00  > alert: ann raised its hand (Demo Requested)
        Wed 2026-03-04 10:00  ann does Call Requested
        Wed 2026-03-04 10:00  x ann: within the cooldown of the last hand-raise
        Mon 2026-03-09 10:00  ann does Call Requested
        Mon 2026-03-09 10:00  > alert: ann raised its hand (Call Requested)
        Mon 2026-03-30 10:00  end
    """,
    "a hand-raise is told of within the cooldown of the tier, but not the other way round": """
        policy: {tier: hot, cooldown: 7d, always: [Demo Requested]}

        Mon 2026-03-02 10:00  ann does Team Invited
        Mon 2026-03-02 10:00  > alert: ann entered hot
        Tue 2026-03-03 10:00  ann does Demo Requested
        Tue 2026-03-03 10:00  > alert: ann raised its hand (Demo Requested)
        Mon 2026-03-09 12:00  ann does Team Invited
        Mon 2026-03-09 12:00  x ann: within the cooldown of the last alert
        Mon 2026-03-30 10:00  end
    """,
    "a hand that is raised at night is told of in the morning": """
        clock: America/New_York
        policy:
          tier: hot
          always: [Demo Requested]
          hours: {time_zone: America/New_York, from: "08:30", to: "18:00"}

        Fri 2026-03-06 23:10  ann does Demo Requested
        Sat 2026-03-07 01:00  ann does Team Invited
        Sat 2026-03-07 01:00  x ann: within the cooldown of the last alert
        Mon 2026-03-09 08:30  > alert: ann raised its hand (Demo Requested)
        Mon 2026-03-30 10:00  end
    """,
    "a hand-raise takes along what waits for its account": """
        policy: {tier: hot, account_cooldown: 1d, delay: 10m, always: [Demo Requested]}

        Mon 2026-03-02 09:00  ann joins acme
        Mon 2026-03-02 09:00  bob joins acme
        Mon 2026-03-02 09:00  cid joins acme
        Mon 2026-03-02 10:00  ann does Team Invited
        Mon 2026-03-02 10:10  > alert: ann entered hot
        Mon 2026-03-02 11:00  bob does Team Invited
        Mon 2026-03-02 12:00  cid does Demo Requested
        Mon 2026-03-02 12:00  > follow-up: bob entered hot; cid raised its hand (Demo Requested)
        Mon 2026-03-30 10:00  end
    """,
    "a hand-raise that is left untold brings nobody forward": """
        policy: {tier: hot, account_cooldown: 2d, always: [Demo Requested]}

        Mon 2026-03-02 09:00  ann joins acme
        Mon 2026-03-02 09:00  bob joins acme
        Mon 2026-03-02 09:00  cid joins acme
        Mon 2026-03-02 09:30  cid is snoozed until Mon 2026-03-09 10:00
        Mon 2026-03-02 10:00  ann does Team Invited
        Mon 2026-03-02 10:00  > alert: ann entered hot
        Mon 2026-03-02 11:00  bob does Team Invited
        Mon 2026-03-02 12:00  cid does Demo Requested
        Mon 2026-03-02 12:00  x cid: is snoozed until 2026-03-09T10:00:00.000Z
        Wed 2026-03-04 10:00  > follow-up: bob entered hot
        Mon 2026-03-30 10:00  end
    """,
    "a hand that is raised while the tier's alert settles makes one alert of both": """
        policy: {tier: hot, delay: 10m, always: [Demo Requested]}

        Mon 2026-03-02 10:00  ann does Team Invited
        Mon 2026-03-02 10:04  ann does Demo Requested
        Mon 2026-03-02 10:04  > alert: ann raised its hand (Demo Requested)
        Mon 2026-03-30 10:00  end
    """,
    "who does not fit is told of when it does": """
        policy: {tier: hot, min_fit: 10}

        Mon 2026-03-02 10:00  ann does Team Invited
        Mon 2026-03-02 10:00  x ann: has a fit of 0, below 10
        Mon 2026-03-02 10:03  ann is {title: VP}
        Mon 2026-03-02 10:03  > alert: ann is hot, and fits by now
        Mon 2026-03-02 10:04  ann is {title: Intern}
        Mon 2026-03-02 10:05  ann is {title: VP}
        Mon 2026-03-30 10:00  end
    """,
    "who no longer fits at the end of the settling time is not told of": """
        policy: {tier: hot, min_fit: 10, delay: 5m}

        Mon 2026-03-02 10:00  ann is {title: VP}
        Mon 2026-03-02 10:01  ann does Team Invited
        Mon 2026-03-02 10:02  ann is {title: Intern}
        Mon 2026-03-02 10:06  x ann: has a fit of 0, below 10
        Mon 2026-03-02 10:07  ann is {title: VP}
        Mon 2026-03-02 10:12  > alert: ann is hot, and fits by now
        Mon 2026-03-30 10:00  end
    """,
    "nobody is told of who is snoozed, not even for a demo": """
        policy: {tier: hot, cooldown: 1d, always: [Demo Requested]}

        Mon 2026-03-02 10:00  ann is snoozed until Mon 2026-03-09 10:00
        Tue 2026-03-03 10:00  ann does Team Invited
        Tue 2026-03-03 10:00  x ann: is snoozed until 2026-03-09T10:00:00.000Z
        Wed 2026-03-04 10:00  ann does Demo Requested
        Wed 2026-03-04 10:00  x ann: is snoozed until 2026-03-09T10:00:00.000Z
        Mon 2026-03-09 10:00  ann does Team Invited
        Mon 2026-03-09 10:00  > alert: ann entered hot
        Mon 2026-03-30 10:00  end
    """,
    "going from hot to a higher tier is no news, jumping over it is": """
        policy: {tier: hot}

        Mon 2026-03-02 10:00  ann does Trial Started
        Mon 2026-03-02 10:10  ann does Team Invited
        Mon 2026-03-02 10:10  > alert: ann entered hot
        Thu 2026-03-05 10:00  ann does Pricing Viewed
        Mon 2026-03-30 10:00  end
    """,
    "what was imported is no news, and what is done next is": """
        policy: {tier: hot, rearm_below: 40, always: [Demo Requested]}

        Mon 2026-03-02 10:00  ann did Team Invited
        Mon 2026-03-02 10:00  x ann: imported history
        Mon 2026-03-02 10:00  bob did Demo Requested
        Mon 2026-03-02 10:00  x bob: imported history
        Tue 2026-03-03 10:00  ann does Trial Started
        Tue 2026-03-03 11:00  bob does Demo Requested
        Tue 2026-03-03 11:00  > alert: bob raised its hand (Demo Requested)
        Mon 2026-03-30 10:00  end
    """,
    "several warm people make their account hot, and that is told once": """
        policy: {tier: hot, accounts: true}

        Mon 2026-03-02 09:00  ann joins acme
        Mon 2026-03-02 09:00  bob joins acme
        Mon 2026-03-02 10:00  ann does Trial Started
        Mon 2026-03-02 10:10  bob does Trial Started
        Mon 2026-03-02 10:10  > account: account acme entered hot
        Mon 2026-03-02 10:20  cid joins acme
        Mon 2026-03-02 10:20  cid does Trial Started
        Mon 2026-03-30 10:00  end
    """,
    "a hot lead that makes its account hot is one message, not two": """
        policy: {tier: hot, accounts: true}

        Mon 2026-03-02 09:00  ann joins acme
        Mon 2026-03-02 10:00  ann does Team Invited
        Mon 2026-03-02 10:00  > alert: ann entered hot
        Mon 2026-03-02 10:00  x account acme: within the cooldown of the last alert on it or its people
        Mon 2026-03-30 10:00  end
    """,
    "nor is it two where nobody wants a cooldown": """
        policy: {tier: hot, cooldown: none, accounts: true}

        Mon 2026-03-02 09:00  ann joins acme
        Mon 2026-03-02 10:00  ann does Team Invited
        Mon 2026-03-02 10:00  > alert: ann entered hot
        Mon 2026-03-02 10:00  x account acme: within the cooldown of the last alert on it or its people
        Mon 2026-03-30 10:00  end
    """,
    "a lead and its account that settle together go out together": """
        policy: {tier: hot, delay: 5m, accounts: true}

        Mon 2026-03-02 09:00  ann joins acme
        Mon 2026-03-02 10:00  ann does Team Invited
        Mon 2026-03-02 10:05  > alert: account acme entered hot; ann entered hot
        Mon 2026-03-30 10:00  end
    """,
    "what became hot at the weekend is told on Monday, in one message": """
        clock: Europe/Berlin
        policy: {tier: hot, accounts: true, hours: {time_zone: Europe/Berlin, from: "09:00", to: "17:00"}}

        Fri 2026-03-06 09:00  ann joins acme
        Fri 2026-03-06 09:00  bob joins acme
        Fri 2026-03-06 10:00  dan joins beta
        Sat 2026-03-07 10:00  ann does Team Invited
        Sat 2026-03-07 11:00  bob does Trial Started
        Sat 2026-03-07 12:00  dan does Trial Started
        Sat 2026-03-07 12:00  eve joins beta
        Sat 2026-03-07 12:00  eve does Trial Started
        Mon 2026-03-09 09:00  > alert: account acme entered hot; ann entered hot
        Mon 2026-03-09 09:00  > account: account beta entered hot
        Mon 2026-03-30 10:00  end
    """,
    "an account that cooled before its time came is not told of, and is news when it returns": """
        policy: {tier: hot, accounts: true, rearm_below: 40, hours: {time_zone: UTC, from: "09:00", to: "17:00"}}

        Fri 2026-03-06 20:00  ann joins acme
        Fri 2026-03-06 20:00  bob joins acme
        Fri 2026-03-06 20:00  ann does Trial Started
        Fri 2026-03-06 20:00  bob does Pricing Viewed
        Mon 2026-03-09 09:00  x account acme: is no longer hot
        Mon 2026-03-09 10:00  bob does Pricing Viewed
        Mon 2026-03-09 10:00  > account: account acme entered hot
        Mon 2026-03-30 10:00  end
    """,
    "an account that flaps is told of once, and again when it was below the line and its cooldown is over": """
        policy: {tier: hot, rearm_below: 48, account_cooldown: 3d, accounts: true}

        Mon 2026-03-02 09:00  ann joins acme
        Mon 2026-03-02 09:00  bob joins acme
        Mon 2026-03-02 10:00  ann does Trial Started
        Mon 2026-03-02 10:00  bob does Pricing Viewed
        Mon 2026-03-02 10:00  > account: account acme entered hot
        Wed 2026-03-04 10:30  bob does Pricing Viewed
        Wed 2026-03-04 10:30  x account acme: within the cooldown of the last alert on it or its people
        Fri 2026-03-06 12:00  bob does Pricing Viewed
        Fri 2026-03-06 12:00  > account: account acme entered hot
        Mon 2026-03-30 10:00  end
    """,
    "an account that was left untold for what was told of its people is told of once that is long ago": """
        policy: {tier: hot, rearm_below: 48, cooldown: 7d, accounts: true}

        Mon 2026-03-02 09:00  ann joins acme
        Mon 2026-03-02 09:00  bob joins acme
        Mon 2026-03-02 10:00  ann does Team Invited
        Mon 2026-03-02 10:00  > alert: ann entered hot
        Mon 2026-03-02 10:00  x account acme: within the cooldown of the last alert on it or its people
        Sun 2026-03-08 10:00  ann does Trial Started
        Sun 2026-03-08 10:00  bob does Pricing Viewed
        Sun 2026-03-08 10:00  x account acme: within the cooldown of the last alert on it or its people
        Wed 2026-03-11 10:30  bob does Pricing Viewed
        Wed 2026-03-11 10:30  > account: account acme entered hot
        Mon 2026-03-30 10:00  end
    """,
    "an account that flaps above the line is told of once": """
        policy: {tier: hot, rearm_below: 40, account_cooldown: 1d, accounts: true}

        Mon 2026-03-02 09:00  ann joins acme
        Mon 2026-03-02 09:00  bob joins acme
        Mon 2026-03-02 10:00  ann does Trial Started
        Mon 2026-03-02 10:00  bob does Pricing Viewed
        Mon 2026-03-02 10:00  > account: account acme entered hot
        Mon 2026-03-16 10:30  bob does Pricing Viewed
        Mon 2026-03-16 10:30  x account acme: has not been below 40 since the last alert
        Mon 2026-03-30 10:00  end
    """,
    "people who become hot after their account are told of in its follow-up": """
        policy: {tier: hot, account_cooldown: 1d, accounts: true}

        Mon 2026-03-02 09:00  ann joins acme
        Mon 2026-03-02 09:00  bob joins acme
        Mon 2026-03-02 10:00  ann does Trial Started
        Mon 2026-03-02 10:00  bob does Trial Started
        Mon 2026-03-02 10:00  > account: account acme entered hot
        Mon 2026-03-02 11:00  ann does Pricing Viewed
        Tue 2026-03-03 10:00  > follow-up: ann entered hot
        Mon 2026-03-30 10:00  end
    """,
    "an account that asks within its cooldown brings nobody forward": """
        policy: {tier: hot, account_cooldown: 7d, accounts: true}

        Mon 2026-03-02 09:00  ann joins acme
        Mon 2026-03-02 09:00  bob joins acme
        Mon 2026-03-02 10:00  ann does Team Invited
        Mon 2026-03-02 10:00  > alert: ann entered hot
        Mon 2026-03-02 10:00  x account acme: within the cooldown of the last alert on it or its people
        Fri 2026-03-06 12:00  bob is {title: VP}
        Fri 2026-03-06 12:00  bob does Trial Started
        Fri 2026-03-06 12:00  x account acme: within the cooldown of the last alert on it or its people
        Mon 2026-03-09 10:00  > follow-up: bob entered hot
        Mon 2026-03-30 10:00  end
    """,
    "an account of customers, rivals or misfits is not told of": """
        policy: {tier: hot, min_fit: 10, accounts: true}

        Mon 2026-03-02 09:00  ann joins acme
        Mon 2026-03-02 09:00  bob joins acme
        Mon 2026-03-02 09:10  ann does Subscription Started
        Mon 2026-03-02 09:10  bob does Subscription Started
        Mon 2026-03-02 10:00  ann does Trial Started
        Mon 2026-03-02 10:00  bob does Trial Started
        Mon 2026-03-02 10:00  x account acme: has nobody who may be told of
        Mon 2026-03-02 11:00  cid joins beta
        Mon 2026-03-02 11:00  dan joins beta
        Mon 2026-03-02 11:00  eve joins beta
        Mon 2026-03-02 11:00  eve is {email: eve@rival.example, title: VP}
        Mon 2026-03-02 11:00  cid does Trial Started
        Mon 2026-03-02 11:00  dan does Trial Started
        Mon 2026-03-02 11:00  x account beta: has a fit of 0, below 10
        Mon 2026-03-30 10:00  end
    """,
    "an account that an import made hot is no news": """
        policy: {tier: hot, accounts: true}

        Mon 2026-03-02 09:00  ann joins acme
        Mon 2026-03-02 09:00  bob joins acme
        Mon 2026-03-02 10:00  ann did Trial Started
        Mon 2026-03-02 10:00  bob did Trial Started
        Mon 2026-03-02 11:00  bob does Pricing Viewed
        Mon 2026-03-02 11:00  > alert: bob entered hot
        Mon 2026-03-30 10:00  end
    """,
    "a policy may leave accounts out": """
        policy: {tier: hot, accounts: false}

        Mon 2026-03-02 09:00  ann joins acme
        Mon 2026-03-02 09:00  bob joins acme
        Mon 2026-03-02 10:00  ann does Trial Started
        Mon 2026-03-02 10:00  bob does Trial Started
        Mon 2026-03-30 10:00  end
    """,
    "an account that is snoozed is not told of": """
        policy: {tier: hot, accounts: true}

        Mon 2026-03-02 09:00  ann joins acme
        Mon 2026-03-02 09:00  bob joins acme
        Mon 2026-03-02 09:30  account acme is snoozed until Mon 2026-03-09 10:00
        Mon 2026-03-02 10:00  ann does Trial Started
        Mon 2026-03-02 10:00  bob does Trial Started
        Mon 2026-03-02 10:00  x account acme: is snoozed until 2026-03-09T10:00:00.000Z
        Mon 2026-03-30 10:00  end
    """,
    "a visitor that waits for the morning is told of as the user that it became": """
        policy: {tier: hot, always: [Demo Requested], hours: {time_zone: UTC, from: "09:00", to: "17:00"}}

        Sat 2026-03-07 10:00  visitor does Team Invited
        Sat 2026-03-07 11:00  visitor2 does Demo Requested
        Sun 2026-03-08 10:00  visitor becomes ann
        Sun 2026-03-08 10:00  x ann: within the cooldown of the last alert
        Sun 2026-03-08 11:00  visitor2 becomes bob
        Mon 2026-03-09 09:00  > alert: ann entered hot
        Mon 2026-03-09 09:00  > alert: bob raised its hand (Demo Requested)
        Mon 2026-03-30 10:00  end
    """,
}


@pytest.mark.parametrize("text", STORIES.values(), ids=STORIES.keys())
def test_story(text: str) -> None:
    story = read_story(text)
    assert play(story) == story.expected
