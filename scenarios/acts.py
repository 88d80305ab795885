"""What everybody does in a scenario, in order, and what they find out.

An act runs commands of the roles on a `Stage` and gives `Note`s for people. Later acts use what earlier ones
left in files on the table or in homes, and in the few attributes of `Acts`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pandas as pd

from scenarios.catalogue import AGREEMENT_FILE, Scenario
from scenarios.comparison import require_same
from scenarios.role import Role
from scenarios.stage import COORDINATOR, OPERATOR, Stage

RESULT_FILE: Final = "result.parquet"
RECEIPT_FILE: Final = "run.receipt"
_SHOWN_DIGITS: Final = 16


@dataclass(frozen=True)
class Note:
    """What somebody did or found out."""

    who: str
    what: str


Act = Callable[[], Iterator[Note]]


class Acts:
    """One run of a scenario. Each act is a method; `in_order` is the play."""

    def __init__(self, scenario: Scenario, stage: Stage, rows: int | None) -> None:
        self.scenario = scenario
        self.stage = stage
        self.rows = rows
        self.agreement = stage.table / f"{scenario.name}.agreement"
        self.root = stage.table / "root.pem"
        self.files: dict[str, Path] = {}
        self.job = ""
        self.released = pd.DataFrame()
        self.suppressed: list[str] = []

    def in_order(self) -> list[tuple[str, Act]]:
        """Titles and acts."""
        return [
            ("Everybody makes keys, and puts the public half on the table", self.make_identities),
            ("Owners have their data, each in its own home", self.write_data),
            ("The enclave's code is measured", self.measure),
            ("The agreement is written, read and signed", self.sign),
            ("A coordinator starts, whom nobody trusts", self.start_coordinator),
            ("An enclave starts, bound for life to this agreement", self.start_job),
            ("Owners verify the enclave, and seal their data to it", self.send_data),
            ("The query runs, and only the agreed result leaves", self.run_query),
            ("Enclave and coordinator end; their keys are gone", self.close),
            ("The receipt is checked without a network", self.verify_receipt),
            ("The same question is answered in clear, and compared", self.compare),
        ]
