"""Accounting of differential privacy: what a run may cost an owner, how much noise that means.

Pure arithmetic that party and enclave share, without data and without randomness: an owner sees before
signing what the enclave will do. The noise itself is drawn in `enclave_compute.noise`. Formulas and promises
stand in `docs/privacy.md`.
"""

from __future__ import annotations

from protos.privacy.budget import Budget
from protos.privacy.domains import CELLS_MAX, Key, all_keys
from protos.privacy.errors import BudgetExceededError, PrivacyParameterError
from protos.privacy.loss import LOSS_UNIT, Loss, Mechanism, epsilon_of_rho, nothing, rho_of_epsilon
from protos.privacy.outputs import (
    ExactColumn,
    NoisyOutput,
    key_units_column,
    mean_rows_column,
    mean_sum_column,
)
from protos.privacy.plan import KeyThreshold, NoisePlan, NoisyColumn, Stake, plan_noise
from protos.privacy.sensitivity import Contribution, Sensitivity, sensitivity
from protos.privacy.tails import Noise

__all__ = [
    "CELLS_MAX",
    "LOSS_UNIT",
    "Budget",
    "BudgetExceededError",
    "Contribution",
    "ExactColumn",
    "Key",
    "KeyThreshold",
    "Loss",
    "Mechanism",
    "Noise",
    "NoisePlan",
    "NoisyColumn",
    "NoisyOutput",
    "PrivacyParameterError",
    "Sensitivity",
    "Stake",
    "all_keys",
    "epsilon_of_rho",
    "key_units_column",
    "mean_rows_column",
    "mean_sum_column",
    "nothing",
    "plan_noise",
    "rho_of_epsilon",
    "sensitivity",
]
