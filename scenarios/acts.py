"""What everybody does in a scenario, in order, and what they find out.

An act runs commands of the roles on a `Stage` and gives `Note`s for people. Acts hand on to later ones what
lies in homes and on the table, and the few attributes of `Acts`. Raises `ScenarioError`.
"""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pandas as pd

from party_client.agreements import load_agreement
from party_client.cli.present import size
from protos.plan import Plan, compile_query
from scenarios.catalogue import AGREEMENT_FILE, Scenario
from scenarios.comparison import require_same
from scenarios.errors import ScenarioError
from scenarios.noise_comparison import require_close
from scenarios.stage import COORDINATOR, OPERATOR, Stage

RESULT_FILE: Final = "result.parquet"
RECEIPT_FILE: Final = "run.receipt"
PCRS: Final = ("pcr0", "pcr1", "pcr2")
_DIGITS_SHOWN: Final = 16


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
        self.files: dict[str, Path] = {}
        self.job = ""
        self.serve_options: tuple[str | Path, ...] = ()
        self.released = pd.DataFrame()
        self.suppressed: list[str] = []

    def in_order(self) -> list[tuple[str, Act]]:
        """Titles and acts."""
        return [
            ("Everybody makes keys and puts the public half on the table", self.make_identities),
            ("The owners have their data, each at home", self.write_data),
            ("The code of the enclave is measured", self.measure),
            ("The agreement is compiled; each party reads it and signs", self.sign),
            ("A coordinator starts, whom nobody trusts", self.start_coordinator),
            ("An enclave starts and is bound to this agreement for life", self.start_job),
            ("Each owner verifies the enclave and seals its data to it", self.send_data),
            ("The query runs; what was agreed leaves, sealed to its receivers", self.run_query),
            ("Enclave and coordinator end", self.close),
            ("The receipt is verified offline, with nobody left to ask", self.verify_receipt),
            ("The same question is answered in clear and compared", self.compare),
        ]

    def agreement_text(self) -> str:
        """The agreement as people write it."""
        return self.scenario.agreement_file.read_text(encoding="utf-8")

    def make_identities(self) -> Iterator[Note]:
        """Keys for everybody, certificates for the connections."""
        self.stage.hand_out_certificates()
        keys = self.stage.table / "keys"
        keys.mkdir()
        making = {
            person: self.stage[person].begin("identity", "new", person, "--name", name, "--json")
            for person, name in self.scenario.people.items()
        }
        for person, command in making.items():
            made = command.answer()
            shutil.copy(self.stage[person].home / f"{person}.pub", keys)
            yield Note(person, f"fingerprint {made['fingerprint']}")

    def write_data(self) -> Iterator[Note]:
        """The files, each in its owner's home."""
        homes = {party: self.stage[party].home for party in self.scenario.parties}
        self.files = self.scenario.write(homes, rows=self.rows)
        for dataset, file in self.files.items():
            yield Note(self.scenario.owners[dataset], f"{file.name}, {size(file.stat().st_size)}")

    def measure(self) -> Iterator[Note]:
        """What the agreement will pin; every party measures its own copy of the code and finds the same."""
        place, coordinator = self.stage.place, self.stage[COORDINATOR]
        text = coordinator.run(*place.measure, "--toml")
        (self.stage.table / "release.toml").write_text(text, encoding="utf-8")
        if place.root is not None:
            self.stage.root.write_text(coordinator.run(*place.root), encoding="utf-8")
        (release,) = tomllib.loads(text)["releases"]
        yield Note(COORDINATOR, f"PCR0 {release['pcr0'][:_DIGITS_SHOWN]}…, {place.vouched_for}")
        measuring = [self.stage[party].begin(*place.measure, "--json") for party in self.scenario.parties]
        for command in measuring:
            own = command.answer()
            if differing := [pcr for pcr in PCRS if own[pcr] != release[pcr]]:
                raise ScenarioError(f"{command.role.id} measures something else in {', '.join(differing)}")
            yield Note(command.role.id, "measured its own copy of the code: the same")

    def sign(self) -> Iterator[Note]:
        """One party compiles; every party reads what it would let happen, and signs the digest."""
        toml = self.stage.table / AGREEMENT_FILE
        toml.write_text(self.agreement_text(), encoding="utf-8")
        first = self.stage[self.scenario.parties[0]]
        made = first.ask("agreement", "compile", toml, "-o", self.agreement)
        yield Note(first.id, f"compiled; digest {made['digest'][:_DIGITS_SHOWN]}…")
        checking = [
            self.stage[party].begin("agreement", "check", self.agreement, *self.stage.trust)
            for party in self.scenario.parties
        ]
        for command in checking:
            command.finish()
        signing = [
            self.stage[party].begin(
                *("agreement", "sign", self.agreement, "--identity", f"{party}.key"),
                *self.stage.trust,
                *("--yes", "--json", "-o", self.stage.table / f"{party}.approval"),
            )
            for party in self.scenario.parties
        ]
        for command in signing:
            signed = command.answer()
            yield Note(signed["party"], f"checked and signed {signed['digest'][:_DIGITS_SHOWN]}…")

    def start_coordinator(self) -> Iterator[Note]:
        """It relays and stores; it gets the agreement and the approvals."""
        address = self.stage.start_coordinator(*self.serve_options)
        yield Note(COORDINATOR, f"serves at {address} with mutual TLS")
        first = self.scenario.parties[0]
        self.stage[first].run("agreement", "submit", self.agreement, "--as", first)
        approving = [
            self.stage[party].begin(
                *("agreement", "approve", self.agreement),
                *("--approval", self.stage.table / f"{party}.approval"),
            )
            for party in self.scenario.parties
        ]
        for command in approving:
            command.finish()
            yield Note(command.role.id, "handed in its approval")

    def start_job(self) -> Iterator[Note]:
        """The coordinator launches an enclave, which checks all signatures before it takes anything."""
        job = self.stage[OPERATOR].ask("job", "start", self.agreement, "--as", OPERATOR)
        self.job = job["job_id"]
        yield Note(OPERATOR, f"job {self.job}; enclave: {job['launcher']}")

    def send_data(self) -> Iterator[Note]:
        """All owners at once, each verifying for itself before anything is sealed."""
        sending = [
            self.stage[owner].begin(
                *("dataset", "send", self.files[dataset], "--agreement", self.agreement),
                *("--dataset", dataset, "--job", self.job, "--identity", f"{owner}.key"),
                *self.stage.trust,
                "--json",
            )
            for dataset, owner in self.scenario.owners.items()
        ]
        for command in sending:
            sent = command.answer()
            enclave = f"{sent['enclave'][:_DIGITS_SHOWN]}…"
            yield Note(command.role.id, f"verified enclave {enclave} of release {sent['release']}")
            yield Note("", f"sealed {sent['rows']:,} rows; the enclave has signed that it holds them all")

    def run_query(self) -> Iterator[Note]:
        """Whoever may ask asks; every receiver verifies the receipt and opens its own sealed copy."""
        asker = self.scenario.asker
        chosen = [f"--param={name}={value}" for name, value in self.scenario.parameters.items()]
        ran = self.stage[asker].ask(
            *("job", "run", self.scenario.query, "--job", self.job, "--agreement", self.agreement),
            *("--identity", f"{asker}.key", *self.stage.trust),
            *chosen,
        )
        shown = ", ".join(f"{name} = {value}" for name, value in ran["parameters"].items())
        yield Note(
            asker, f"verified the enclave and asked for {ran['query']}{f' with {shown}' if shown else ''}"
        )
        getting = [
            self.stage[receiver].begin(
                *("result", "get", ran["run"], "--job", self.job, "--agreement", self.agreement),
                *("--identity", f"{receiver}.key", *self.stage.trust, "--json"),
                *("-o", RESULT_FILE, "--receipt", RECEIPT_FILE),
            )
            for receiver in self.scenario.receivers
        ]
        for command in getting:
            got = command.answer()
            yield Note(command.role.id, f"verified the receipt and opened the result: {got['rows']} rows")

    def close(self) -> Iterator[Note]:
        """The operator ends the job, and with it the enclave and its keys; then the coordinator."""
        self.stage[OPERATOR].run("job", "close", self.job, "--as", OPERATOR)
        self.stage.stop_coordinator()
        if left := self.stage.machines():
            raise ScenarioError(f"{len(left)} enclaves outlived the coordinator")
        yield Note(OPERATOR, "nothing runs any more; the enclave's keys are gone, and all data in it")

    def verify_receipt(self) -> Iterator[Note]:
        """From the one file, with nobody left to ask."""
        verifying = [
            self.stage[receiver].begin("receipt", "verify", RECEIPT_FILE, *self.stage.trust, "--json")
            for receiver in self.scenario.receivers
        ]
        for command in verifying:
            proved = command.answer()
            agreement = proved["agreement"]
            signers = ", ".join(agreement["parties"])
            yield Note(
                command.role.id, f"agreement {agreement['digest'][:_DIGITS_SHOWN]}…, signed by {signers}"
            )
            yield Note(
                "", f"{proved['query']} over {len(proved['datasets'])} datasets, by {proved['release']}"
            )
            self.suppressed = [
                f"{_groups(item['groups_at_most'])}: {item['rule']}"
                for item in proved["suppressed"]
                if item["groups_at_most"] != 0
            ]

    def compare(self) -> Iterator[Note]:
        """pandas, over all files at once: what nobody in the scenario could do."""
        expected = self.scenario.answer(self.files, self.scenario.parameters)
        for receiver in self.scenario.receivers:
            self.released = pd.read_parquet(self.stage[receiver].home / RESULT_FILE)
            if self.scenario.is_noisy:
                compared = require_close(self.released, expected, self._plan())
                yield Note(receiver, f"{compared} noisy figures, each as close as its noise allows")
            else:
                require_same(self.released, expected)
                yield Note(receiver, f"{len(self.released)} rows, every cell equal")

    def _plan(self) -> Plan:
        agreement = load_agreement(self.agreement)
        return compile_query(agreement, agreement.query(self.scenario.query))


def _groups(at_most: int | None) -> str:
    return "not told how many" if at_most is None else f"at most {at_most} groups"
