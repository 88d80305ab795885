"""How often anybody can be right under a privacy budget, whatever is asked and whatever is known beforehand.

Two bounds, of which the lower one holds. The promise: of two worlds that are equally likely, with epsilon
between them, the better guess is right with at most e^epsilon / (1 + e^epsilon), and delta more. Gaussian
noise is counted in rho, which says more: the divergence (Kullback and Leibler's) of the two worlds is at
most rho, and the best guess is right with half of 1 + their distance, which Pinsker's inequality and that
of Bretagnolle and Huber bound.

The promise is about whether somebody is there. Another *value* of somebody who is there is one change to a
world without them and another one back: twice the epsilon, four times the rho. Each further enclave has the
budget again.
"""

from __future__ import annotations

import math

from protos.formats.privacy import PrivacyEntry
from protos.plan.stakes import allowance_of
from tests.attacks_harness.attack import Attack


def changes_of(attack: Attack) -> int:
    """How many units come or go between the two worlds that the attack tells apart."""
    return 1 if attack.secret == "member" else 2


def by_epsilon(entry: PrivacyEntry, *, changes: int, enclaves: int) -> float:
    """What the promise says."""
    steps = changes * enclaves
    epsilon = float(entry.epsilon)
    odds = math.exp(epsilon * steps)
    failing = float(entry.delta) * sum(math.exp(epsilon * step) for step in range(steps))
    return min(1.0, odds / (1 + odds) + failing)


def by_rho(entry: PrivacyEntry, *, changes: int, enclaves: int) -> float:
    """What the count of gaussian noise says; 1 for laplace noise, which is not counted so."""
    if entry.noise != "gaussian":
        return 1.0
    divergence = float(allowance_of(entry).amount) * changes**2 * enclaves
    distance = min(math.sqrt(divergence / 2), math.sqrt(1 - math.exp(-divergence)))
    return (1 + distance) / 2


def promised(attack: Attack, entry: PrivacyEntry) -> float:
    """What the promise says of this attack."""
    return by_epsilon(entry, changes=changes_of(attack), enclaves=attack.enclaves)


def at_most(attack: Attack, entry: PrivacyEntry) -> float:
    """The lower of the two."""
    counted = by_rho(entry, changes=changes_of(attack), enclaves=attack.enclaves)
    return min(promised(attack, entry), counted)
