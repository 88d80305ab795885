"""A coordinator that is honest in everything but one thing at a time, and what its parties see of it.

General layout. `service` answers the parties' calls; wherever it could cheat it asks a `Mischief`, which is
honest unless it overrides the method. `mischiefs` are the treacheries, one small class each; `holdings` is
what an operator has in hand: machines, recordings of everything that passed, keys of its own. `machines`
boots real enclaves in SIMULATED machines. `people` are the parties with the unmodified client; `play` puts
them through all of it; `presentation` shows what became of each treachery.
"""
