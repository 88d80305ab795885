"""The cases of this folder: texts of queries, and what each is expected to be. See `README.md`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

from party_client.agreements import compile as compiling
from protos.formats.agreement import Agreement
from protos.formats.privacy import PrivacyEntry
from protos.formats.query import Query
from protos.formats.schema import Dataset
from tests.engine_world import agreement

_HERE: Final = Path(__file__).parent
_DATASETS: Final = _HERE / "datasets.toml"
_REPEATED: Final = re.compile(r"<<(\d+)\|(.*?)>>", re.DOTALL)


@dataclass(frozen=True)
class Case:
    """One text; either `plan` or `refused` is said."""

    theme: str
    name: str
    sql: str
    why: str | None = None
    plan: str | None = None
    refused: str | None = None
    hint: str | None = None
    rule: str | None = None
    """The section of `protos/plan/README.md` that a refusal follows."""
    id: str = "q"
    """Of the query in the agreement."""
    parameters: list[dict[str, Any]] = field(default_factory=list)
    many_to_many: bool = False
    receivers: list[str] = field(default_factory=lambda: ["analyst"])
    noise: dict[str, Any] | None = None
    privacy: list[list[Any]] = field(default_factory=list)
    """Owner, epsilon, delta and kind of noise of each privacy budget in the agreement."""
    change: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Dataset to what is different in it; a dataset that is not there is added."""

    @property
    def query(self) -> Query:
        """The query as it stands in the agreement."""
        noise = {} if self.noise is None else {"noise": self.noise}
        return compiling._query(
            self.name,
            {
                **noise,
                "id": self.id,
                "sql": _REPEATED.sub(lambda found: int(found[1]) * found[2], self.sql),
                "parameters": self.parameters,
                "many_to_many": self.many_to_many,
                "run_by": ["analyst"],
                "receivers": self.receivers,
                "max_runs": 1,
            },
        )

    @property
    def agreement(self) -> Agreement:
        """The agreement that the query stands in."""
        agreed = agreement(*_datasets(self.change))
        if not self.privacy:
            return agreed
        # A budget is divided among the runs of the agreement's queries.
        budgets = tuple(PrivacyEntry(*entry) for entry in self.privacy)
        return replace(agreed, queries=(self.query,), privacy=budgets)


@cache
def all_cases() -> tuple[Case, ...]:
    """Those of every file, in order."""
    return tuple(
        Case(path.stem, **case)
        for path in sorted(_HERE.glob("*.toml"))
        if path != _DATASETS
        for case in tomllib.loads(path.read_text(encoding="utf-8"))["case"]
    )


def _datasets(change: Mapping[str, Mapping[str, Any]]) -> list[Dataset]:
    datasets = {dataset["id"]: dataset for dataset in tomllib.loads(_DATASETS.read_text("utf-8"))["datasets"]}
    for name, changed in change.items():
        whole = datasets.setdefault(name, {"id": name, "columns": {}})
        columns = whole["columns"] | changed.get("columns", {})
        datasets[name] = whole | dict(changed) | {"columns": columns}
    return [compiling._dataset(name, dataset, _DATASETS.parent) for name, dataset in datasets.items()]
