"""A rehearsal of an agreement before anybody signs it: the real path, made-up data, throw-away identities.

General layout: `stand_in` makes the agreement that is played, `hints` and `synthetic` the data from the
agreement alone, `rehearse` plays it and gives an `Outcome`; `command`, `presentation` and `rehearsal_page`
show it. Everything shown says SYNTHETIC and SIMULATED.
"""
