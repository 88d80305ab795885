"""How long the enclave needs to draw the noise of one column with many cells."""

from __future__ import annotations

import time
from fractions import Fraction
from typing import Final

from enclave_compute.noise import add_noise
from enclave_compute.samplers import Sampler
from protos.privacy import Budget, Contribution, Mechanism, NoisyOutput, Stake, plan_noise

CELLS: Final = 100_000
_TIMES: Final = 5


def seconds() -> dict[Mechanism, list[float]]:
    """By kind of noise, one figure for each of `_TIMES` columns of sums."""
    return {mechanism: _seconds(mechanism) for mechanism in ("gaussian", "laplace")}


def _seconds(mechanism: Mechanism) -> list[float]:
    share = Budget(Fraction(1), Fraction(1, 10**6), mechanism).each_of(10)
    total = NoisyOutput("total", "sum", low=0, high=10**9)
    plan = plan_noise([total], [Stake("owner", Contribution(3, 3, 3), share)], keys="declared")
    exact = {"total": list(range(CELLS))}
    taken = []
    for _ in range(_TIMES):
        began_s = time.perf_counter()
        add_noise(plan, exact, Sampler())
        taken.append(time.perf_counter() - began_s)
    return taken


if __name__ == "__main__":
    print(seconds())
