"""People who give commands on shared premises, and what a refusal has to look like.

Commands run in this process, which is what the `concordat` program does with them; those that are interrupted
or that serve run in one of their own.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from party_client.cli.main import main
from party_client.identity import Identity
from protos.formats.agreement import Agreement, Limits
from protos.formats.participants import Release
from protos.formats.query import Query
from protos.formats.schema import Column, Dataset
from scenarios.role import PACKAGES
from tests.chaos.premises import Premises

ROWS = 40
SECRET = "hunter2"
CITIES = ("Ankara", "Bergen", "Cork", "Dakar")
SQL = """
SELECT p.city AS city, COUNT(*) AS orders, SUM(o.amount) AS total
FROM people_00 AS p JOIN orders AS o ON p.id = o.person GROUP BY p.city
"""


def people() -> tuple[Identity, ...]:
    """Fresh keys for two parties and an analyst."""
    return tuple(Identity.generate(name, name.title()) for name in ("owner", "shop", "analyst"))


def agreement(identities: tuple[Identity, ...], release: Release, *, slots: int) -> Agreement:
    """`slots` slots of one kind, so that bad files can be followed by good ones."""
    owner, shop, analyst = (identity.public.participant() for identity in identities)
    person = (
        Column("id", "int64", nullable=False, uses=frozenset({"join"})),
        Column("city", "text", nullable=False, uses=frozenset({"group"})),
        Column("born", "date", nullable=True, uses=frozenset()),
    )
    order = (
        Column("person", "int64", nullable=False, uses=frozenset({"join"})),
        Column("amount", "int64", nullable=True, uses=frozenset({"sum"})),
    )
    filled_by_owner = [
        Dataset(f"people_{number:02}", "owner", person, "id", 2, ("id",), 10**6, 10**8)
        for number in range(slots)
    ]
    return Agreement(
        id="orders_by_city",
        title="Orders by city",
        purpose="To refuse what is not as agreed",
        valid_from_s=1_600_000_000,
        valid_until_s=4_000_000_000,
        parties=(owner, shop),
        analysts=(analyst,),
        datasets=(*filled_by_owner, Dataset("orders", "shop", order, "person", 2, (), 10**6, 10**8)),
        queries=(Query("totals", SQL, (), ("analyst",), ("analyst",), max_runs=5),),
        releases=(release,),
        limits=Limits(memory_mib=512, threads=2, max_runs=5),
    )


def good_rows(rows: int = ROWS) -> str:
    """A file as agreed: its header and `rows` rows."""
    lines = (f"{row},{CITIES[row % 4]},1984-02-{row % 28 + 1:02}" for row in range(1, rows + 1))
    return "\n".join(("id,city,born", *lines, ""))


@dataclass(frozen=True)
class Said:
    """What a command left behind for whoever gave it."""

    status: int
    out: str
    err: str

    def without_log(self) -> Said:
        """As a server leaves it: lines of its log come before the error."""
        return replace(self, err=self.err[self.err.find("error: ") :])

    def require_done(self) -> str:
        """It worked; what it printed."""
        assert self.status == 0, self.err
        return self.out

    def require_refused(self, error: str, hint: str, *, status: int = 1) -> None:
        """An `error:` and a `hint:` that say this, and nothing that should not be there."""
        assert (self.status, self.out) == (status, ""), self
        *_, last = lines = self.err.splitlines()
        message = "\n".join(lines[:-1])
        assert message.startswith("error: "), self.err
        assert re.search(error, message), self.err
        assert last.startswith("hint: "), self.err
        assert re.search(hint, last), self.err
        assert "Traceback" not in self.err
        assert SECRET not in self.err


@dataclass(frozen=True)
class Shell:
    """Gives commands as one person or another, in that person's home."""

    premises: Premises
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def __call__(self, who: str, *words: str | Path) -> Said:
        role = self.premises.roles[who]
        self.monkeypatch.chdir(role.home)
        self.monkeypatch.setenv("CONCORDAT_HOME", str(role.home / ".concordat"))
        for name, value in role.settings.items():
            self.monkeypatch.setenv(name, value)
        self.capsys.readouterr()
        status = main([str(word) for word in words])
        return Said(status, *self.capsys.readouterr())

    def send(self, job: str, dataset: str, file: Path, *words: str) -> Said:
        """`concordat dataset send` by the dataset's owner."""
        owner = self.premises.agreement.dataset(dataset).owner
        return self(owner, *send_words(self.premises, job, dataset, file), *words)

    def start_job(self) -> str:
        """`concordat job start`; the job's id."""
        return (
            self("analyst", "job", "start", self.premises.agreement_file, "--as", "analyst")
            .require_done()
            .strip()
        )

    def close_job(self, job: str) -> None:
        """`concordat job close`."""
        self("analyst", "job", "close", job, "--as", "analyst").require_done()

    def journals(self, job: str) -> list[Path]:
        """Uploads to a job that somebody may continue."""
        return sorted(self.premises.folder.glob(f"*/.concordat/uploads/{job}.*"))


def send_words(premises: Premises, job: str, dataset: str, file: Path) -> tuple[str | Path, ...]:
    """The words of a command that sends a dataset."""
    owner = premises.agreement.dataset(dataset).owner
    return (
        *("dataset", "send", file, "--dataset", dataset, "--job", job),
        *("--agreement", premises.agreement_file, "--identity", f"{owner}.key", "--root", premises.root),
    )


def started(
    premises: Premises, who: str, *words: str | Path, through: Sequence[str] = ()
) -> subprocess.Popen[str]:
    """A command in a process of its own; `through` is a command line that runs another one."""
    role = premises.roles[who]
    program = (sys.executable, "-m", "party_client.cli.main", *map(str, words))
    return subprocess.Popen(
        [*through, *program],
        cwd=role.home,
        env={
            **os.environ,
            **role.settings,
            "CONCORDAT_HOME": str(role.home / ".concordat"),
            "PYTHONPATH": str(PACKAGES),
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def spawned(premises: Premises, who: str, *words: str | Path, through: Sequence[str] = ()) -> Said:
    """`started`, and waited for."""
    with started(premises, who, *words, through=through) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        out, err = process.stdout.read(), process.stderr.read()
    return Said(process.returncode, out, err)


def with_peak_noted(note: Path) -> tuple[str, ...]:
    """A command line that runs another and writes the most memory that one had, in KiB, to `note`.

    A process of its own, because what the kernel reports of a child includes what its parent held when it
    was started: a small parent makes the figure the child's.
    """
    program = (
        "import pathlib, resource, subprocess, sys; status = subprocess.call(sys.argv[2:]); "
        "peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss; "
        "pathlib.Path(sys.argv[1]).write_text(str(peak)); sys.exit(status)"
    )
    return (sys.executable, "-c", program, str(note))


def enlarged(path: Path, size_bytes: int) -> Path:
    """The file, continued with zeros that take no room on the disk."""
    os.truncate(path, size_bytes)
    return path
