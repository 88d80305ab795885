"""The tables' faces together, on one file."""

from __future__ import annotations

from pathlib import Path

from coordinator.quotas import Quotas
from coordinator.store.agreements import Agreements
from coordinator.store.database import Database
from coordinator.store.deposits import Deposits
from coordinator.store.jobs import Jobs
from coordinator.store.records import Records
from coordinator.store.runs import Runs
from coordinator.store.uploads import Uploads


class Store:
    """Everything that has to survive the coordinator's process, except sealed chunks."""

    def __init__(self, path: Path, quotas: Quotas) -> None:
        self._database = Database(path)
        self.agreements = Agreements(self._database, quotas)
        self.jobs = Jobs(self._database, quotas)
        self.uploads = Uploads(self._database)
        self.deposits = Deposits(self._database, quotas)
        self.runs = Runs(self._database, quotas)
        self.records = Records(self._database)

    def close(self) -> None:
        """Close the file."""
        self._database.close()
