"""Every attack of the harness, in the order of `docs/attacks.md`."""

from __future__ import annotations

from typing import Final

from tests.attacks_harness.attack import Attack
from tests.attacks_harness.attacks.accomplices import ACCOMPLICES
from tests.attacks_harness.attacks.all_others import ALL_OTHERS
from tests.attacks_harness.attacks.errors import ERRORS
from tests.attacks_harness.attacks.everybody_unless import EVERYBODY_UNLESS
from tests.attacks_harness.attacks.fake_rows import FAKE_ROWS
from tests.attacks_harness.attacks.fan_out import FAN_OUT
from tests.attacks_harness.attacks.groups import GROUPS
from tests.attacks_harness.attacks.ladder import LADDER
from tests.attacks_harness.attacks.maximum import MAXIMUM
from tests.attacks_harness.attacks.membership import MEMBERSHIP
from tests.attacks_harness.attacks.outlier import OUTLIER
from tests.attacks_harness.attacks.overlapping_groups import OVERLAPPING_GROUPS
from tests.attacks_harness.attacks.own_weights import OWN_WEIGHTS
from tests.attacks_harness.attacks.repetition import REPETITION
from tests.attacks_harness.attacks.report import REPORT
from tests.attacks_harness.attacks.three_runs import THREE_RUNS
from tests.attacks_harness.attacks.total_less_rung import TOTAL_LESS_RUNG
from tests.attacks_harness.attacks.two_lives import TWO_LIVES
from tests.attacks_harness.attacks.two_runs import TWO_RUNS

ATTACKS: Final[tuple[Attack, ...]] = (
    REPETITION,
    TWO_RUNS,
    FAKE_ROWS,
    FAN_OUT,
    OVERLAPPING_GROUPS,
    LADDER,
    OWN_WEIGHTS,
    MAXIMUM,
    OUTLIER,
    ERRORS,
    GROUPS,
    REPORT,
    MEMBERSHIP,
    ACCOMPLICES,
    THREE_RUNS,
    TOTAL_LESS_RUNG,
    EVERYBODY_UNLESS,
    TWO_LIVES,
    ALL_OTHERS,
)
