"""What is done otherwise where the owners are offline: keys in their own KMS, deposits, and nobody at home.

From `seal_and_leave` until the release ends, the owners run no command: what opens their data meanwhile is
their KMS, by policies that each planned from the agreement. Raises `ScenarioError`.
"""

from __future__ import annotations

import time
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from party_client.cli.kms_explain import KEPT_OUT_STATUS
from scenarios.acts import Act, Acts, Note
from scenarios.catalogue import Scenario
from scenarios.errors import ScenarioError
from scenarios.hostile.machines import Machines
from scenarios.offline_parties.key_services import ADMINISTRATOR, PARENT, SEALER, KeyService, KeyServices
from scenarios.offline_parties.refusals import Refused
from scenarios.offline_parties.thief import Thief
from scenarios.stage import COORDINATOR, Stage

ACCEPT_TIMEOUT_S: Final = 120
_POLL_S: Final = 0.5
_ACCEPTED: Final = "accepted"
_PLAN: Final = "plan.json"
_EXPORT: Final = "key.json"
_NEXT: Final = "next-release"


class OfflineActs(Acts):
    """See the module."""

    def __init__(self, scenario: Scenario, stage: Stage, rows: int | None) -> None:
        super().__init__(scenario, stage, rows)
        self.services = KeyServices(scenario, stage)
        self.sealed: dict[str, Path] = {}
        """Dataset id to the file that was deposited."""

    def in_order(self) -> list[tuple[str, Act]]:
        """Titles and acts; on a machine of another root than ours nobody can pretend to be an enclave."""
        acts = [
            ("Everybody makes keys and puts the public half on the table", self.make_identities),
            ("The owners have their data, each at home", self.write_data),
            ("The code of the enclave is measured", self.measure),
            ("Each owner has a KMS in an account of its own", self.start_key_services),
            ("The agreement is compiled; each party reads it and signs", self.sign),
            (
                "Each owner plans its key from the agreement and puts that in place",
                self.set_up_keys,
            ),
            ("A coordinator starts, whom nobody trusts", self.start_coordinator),
            (
                "Each owner seals its data under its own key, deposits it, and goes offline",
                self.seal_and_leave,
            ),
            (
                "An enclave starts that no owner has met, and is bound to this agreement for life",
                self.start_job,
            ),
            ("Both KMS let go of their data keys to it", self.wait_for_data),
            ("The query runs; what was agreed leaves, sealed to its receivers", self.run_query),
            ("Others ask both KMS for the same keys, with all that the coordinator has", self.steal),
            (
                "The release ends; the owners change their keys' policies, and it is refused too",
                self.end_release,
            ),
            ("Enclave and coordinator end", self.close),
            ("The receipt is verified offline, with nobody left to ask", self.verify_receipt),
            ("The same question is answered in clear and compared", self.compare),
        ]
        need_our_root = (self.steal, self.end_release)
        return [act for act in acts if self.stage.place.simulated or act[1] not in need_our_root]

    def start_key_services(self) -> Iterator[Note]:
        """SIMULATED: a process each, which believes the documents of this computer's machines."""
        self.services.start()
        for service in self.services:
            yield Note(service.role.id, f"account {service.account}, {service.region}, at {service.endpoint}")

    def agreement_text(self) -> str:
        """With the ports at which the owners' KMS listen."""
        return self.services.filled_in(super().agreement_text())

    def set_up_keys(self) -> Iterator[Note]:
        """Plan, put in place, and have somebody who may do so read what stands there."""
        for service in self.services:
            owner = self.stage[service.owner]
            owner.run("kms", "plan", *self._terms(service), "--format", "json", "-o", _PLAN)
            service.key = self._apply(service)
            owner.settings.update(service.access_key(ADMINISTRATOR))
            at = ("--endpoint", service.endpoint, "--ca", service.authority)
            owner.run("kms", "export", "--key", service.key, "--region", service.region, *at, "-o", _EXPORT)
            yield Note(service.owner, f"planned and put in place {service.key}")

    def start_coordinator(self) -> Iterator[Note]:
        """As ever, and it takes the owners' roles on with an identity of its own."""
        coordinator = self.stage[COORDINATOR]
        coordinator.settings.update(self.services.parent_key())
        self.serve_options = self.services.serve_options(coordinator.home)
        yield from super().start_coordinator()

    def seal_and_leave(self) -> Iterator[Note]:
        """No enclave is there to be verified: what the owners rely on is their keys' policies."""
        for dataset, name in self.scenario.owners.items():
            owner, service = self.stage[name], self.services.by_owner[name]
            owner.settings.update(service.access_key(SEALER))
            self.sealed[dataset] = owner.home / f"{dataset}.sealed"
            of_agreement = ("--agreement", self.agreement)
            sealed = owner.ask(
                *("dataset", "seal", self.files[dataset], "--dataset", dataset, *of_agreement),
                *("--identity", f"{name}.key", "--kms-key", service.key, "-o", self.sealed[dataset]),
                *(*_people(service), "--from", _EXPORT, "--simulated-kms"),
            )
            owner.run("dataset", "deposit", self.sealed[dataset], *of_agreement, "--as", name)
            owner.go_offline()
            if not sealed["key_checked"]:
                raise ScenarioError(f"{name} sealed {dataset} under a key that nobody checked")
            yield Note(
                name, "checked its key's policy: it opens for the agreed code under this agreement alone"
            )
            yield Note("", f"sealed {sealed['rows']:,} rows and deposited them; now offline")

    def wait_for_data(self) -> Iterator[Note]:
        """Nobody does anything but wait: coordinator, enclave and KMS work it out."""
        asker = self.stage[self.scenario.asker]
        deadline_s = time.monotonic() + ACCEPT_TIMEOUT_S
        while True:
            found = asker.ask(
                *("dataset", "deposits", "--agreement", self.agreement),
                *("--as", asker.id, *self.stage.trust),
            )
            said = {each["dataset"]: each["said"] for each in found}
            if set(said.values()) == {_ACCEPTED} and len(said) == len(self.scenario.owners):
                break
            if time.monotonic() > deadline_s:
                raise ScenarioError(f"the enclave did not get all data: {said}")
            time.sleep(_POLL_S)
        for service in self.services:
            decrypted = [each for each in service.records() if each.get("operation") == "Decrypt"]
            if not decrypted or (record := decrypted[-1])["outcome"] != "ok":
                raise ScenarioError(f"{service.role.id} let go of no key: {decrypted[-1:]}")
            yield Note(
                service.role.id, f"Decrypt for {record['caller'].rpartition(':')[2]}: {record['allowed_by']}"
            )
            yield Note(
                "", f"attested PCR0 {record['attested PCR0'][:16]}…, PCR16 {record['attested PCR16'][:16]}…"
            )

    def steal(self) -> Iterator[Note]:
        """Real machines with the wrong code, and documents as they would be of the wrong enclave."""
        with self._machines("thief") as machines:
            thief = Thief(self.stage, self.services, machines, agreement=self.agreement, sealed=self.sealed)
            for refused in thief.attempts():
                yield from _told(refused)

    def end_release(self) -> Iterator[Note]:
        """By a change that both sign: the measured code is over, other code comes in its place."""
        for party in self.scenario.parties:
            self.stage[party].come_back()
        with self._machines("later") as machines:
            self._change_release(machines.altered_source())
            yield Note("", "both owners are back, and signed that the release is over")
            for service in self.services:
                self.stage[service.owner].run(
                    "kms", "plan", *self._terms(service), "--format", "json", "-o", _PLAN
                )
                self._apply(service, "--key", service.key)
                yield Note(service.owner, "planned again, and put the policy in place")
            thief = Thief(self.stage, self.services, machines, agreement=self.agreement, sealed=self.sealed)
            refused = thief.with_ended_release()
            yield from _told(refused)
            document = self.stage.table / "ended.document"
            document.write_bytes(refused.document or b"")
            for service in self.services:
                yield Note(service.owner, self._explained(service, document))

    def _explained(self, service: KeyService, document: Path) -> str:
        """What a party finds out where its KMS, like AWS's, does not say why."""
        terms = ("kms", "explain", *self._terms(service), "--document", document, *self.stage.trust)
        found = self.stage[service.owner].begin(*terms, "--json").answer(status=KEPT_OUT_STATUS)
        denied = {each for answer in found["answers"] for each in answer["denied_by"]}
        return f"explained from its own policy, without the log: {', '.join(sorted(denied))}"

    def _change_release(self, source: Path) -> None:
        first, *_ = parties = [self.stage[party] for party in self.scenario.parties]
        measured = self.stage[COORDINATOR].run(
            "simulator", "measure", "--source", source, "--name", _NEXT, "--toml"
        )
        now = datetime.now(UTC).replace(microsecond=0)
        added, change = self.stage.table / "next.toml", self.stage.table / "end.change"
        validity = f"valid_from = {now.isoformat()}\nvalid_until = {(now + timedelta(days=90)).isoformat()}\n"
        added.write_text(measured + validity, encoding="utf-8")
        (ended,) = _names(self.stage.table / "release.toml")
        first.run(
            *("agreement", "release-change", "propose", self.agreement, "--add", added),
            *("--end", f"{ended}={now.isoformat()}", "-o", change),
        )
        for party in parties:
            party.run(
                *("agreement", "release-change", "sign", self.agreement, change),
                *("--identity", f"{party.id}.key", "--yes"),
            )
        approvals = sorted(self.stage.table.glob("end.change.*.approval"))
        first.run("agreement", "release-change", "apply", self.agreement, change, *approvals)

    def _apply(self, service: KeyService, *options: str) -> str:
        plan = self.stage[service.owner].home / _PLAN
        return service.role.run("simulator", "kms", "apply", "--state", service.state, *options, plan).strip()

    def _terms(self, service: KeyService) -> tuple[str | Path, ...]:
        of_party = ("--party", service.owner, "--parent", PARENT, "--simulated-kms")
        return (self.agreement, *of_party, *_people(service))

    def _machines(self, folder: str) -> Machines:
        """Under the root that everybody believes: it is the same computer's."""
        state = self.stage[COORDINATOR].home / ".concordat" / "simulator"
        (self.stage.folder / folder).mkdir()
        return Machines(self.stage.folder / folder, state=state)


def _people(service: KeyService) -> tuple[str, ...]:
    """Whom the policy names beside the enclave's role."""
    return ("--administrator", service.arn(ADMINISTRATOR), "--sealer", service.arn(SEALER))


def _names(release_file: Path) -> list[str]:
    return [release["name"] for release in tomllib.loads(release_file.read_text())["releases"]]


def _told(refused: Refused) -> Iterator[Note]:
    yield Note("", refused.deed)
    for where, sentence in refused.said.items():
        yield Note(where, sentence)
