"""What is done otherwise where the owners are offline: keys in their own KMS, deposits, and nobody at home.

From `seal_and_leave` until the release ends, the owners run no command: what opens their data meanwhile is
their KMS, by policies that each planned from the agreement. Raises `ScenarioError`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from party_client.cli.kms_explain import KEPT_OUT_STATUS
from protos.formats.calls import Refusal
from scenarios.acts import Act, Acts, Note
from scenarios.catalogue import Scenario
from scenarios.errors import ScenarioError
from scenarios.hostile.machines import Machines
from scenarios.offline_parties.key_services import ADMINISTRATOR, PARENT, SEALER, KeyService, KeyServices
from scenarios.offline_parties.refusals import Refused
from scenarios.offline_parties.release_end import end_release
from scenarios.offline_parties.thief import Thief
from scenarios.role import Command
from scenarios.stage import COORDINATOR, Stage

ACCEPT_TIMEOUT_S: Final = 120
_POLL_S: Final = 0.5
_ACCEPTED: Final = "accepted"
_PLAN: Final = "plan.json"
_EXPORT: Final = "key.json"
_DIGITS_SHOWN: Final = 16


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
        self._plan_keys()
        for service in self.services:
            service.key = service.apply(self._plan_of(service))
            self.stage[service.owner].settings.update(service.access_key(ADMINISTRATOR))
        exporting = [
            self.stage[service.owner].begin(
                *("kms", "export", "--key", service.key, "--region", service.region, "-o", _EXPORT),
                *("--endpoint", service.endpoint, "--ca", service.authority),
            )
            for service in self.services
        ]
        for service, command in zip(self.services, exporting, strict=True):
            command.finish()
            yield Note(service.owner, f"planned and put in place {service.key}")

    def start_coordinator(self) -> Iterator[Note]:
        """As ever, and it takes the owners' roles on with an identity of its own."""
        coordinator = self.stage[COORDINATOR]
        coordinator.settings.update(self.services.parent_key())
        self.serve_options = self.services.serve_options(coordinator.home)
        yield from super().start_coordinator()

    def seal_and_leave(self) -> Iterator[Note]:
        """No enclave is there to be verified: what the owners rely on is their keys' policies."""
        self.sealed = {
            dataset: self.stage[owner].home / f"{dataset}.sealed"
            for dataset, owner in self.scenario.owners.items()
        }
        for service in self.services:
            self.stage[service.owner].settings.update(service.access_key(SEALER))
        sealing = {dataset: self._seal(dataset) for dataset in self.sealed}
        for dataset, command in sealing.items():
            sealed, owner = command.answer(), command.role
            if not sealed["key_checked"]:
                raise ScenarioError(f"{owner.id} sealed {dataset} under a key that nobody checked")
            of_agreement = ("--agreement", self.agreement, "--as", owner.id)
            owner.run("dataset", "deposit", self.sealed[dataset], *of_agreement)
            owner.go_offline()
            yield Note(owner.id, "checked its key: it opens for the agreed code under this agreement alone")
            yield Note("", f"sealed {sealed['rows']:,} rows and deposited them; now offline")

    def _seal(self, dataset: str) -> Command:
        owner = self.scenario.owners[dataset]
        service = self.services.by_owner[owner]
        return self.stage[owner].begin(
            *("dataset", "seal", self.files[dataset], "--dataset", dataset, "--agreement", self.agreement),
            *("--identity", f"{owner}.key", "--kms-key", service.key, "-o", self.sealed[dataset]),
            *(*_people(service), "--from", _EXPORT, "--simulated-kms", "--json"),
        )

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
            if time.monotonic() > deadline_s or Refusal.KMS_DENIED in said.values():
                raise ScenarioError(f"the enclave did not get all data: {said}")
            time.sleep(_POLL_S)
        for service in self.services:
            record = service.granted()
            session = record["caller"].rpartition(":")[2]
            yield Note(service.role.id, f"Decrypt for {session}: {record['allowed_by']}")
            registers = ", ".join(
                f"{name} {record[f'attested {name}'][:_DIGITS_SHOWN]}…" for name in ("PCR0", "PCR16")
            )
            yield Note("", f"attested {registers}")
            yield Note("", f"asked since its owner left: {', '.join(service.asked_for_enclaves())}")

    def steal(self) -> Iterator[Note]:
        """Real machines with the wrong code, and documents as they would be of the wrong enclave."""
        with self._machines("thief") as machines:
            thief = Thief(self.stage, self.services, machines, agreement=self.agreement, sealed=self.sealed)
            for refused in thief.attempts():
                yield from _told(refused)

    def end_release(self) -> Iterator[Note]:
        """By a change that both sign: the measured code is over, other code comes in its place."""
        parties = [self.stage[party] for party in self.scenario.parties]
        for party in parties:
            party.come_back()
        with self._machines("later") as machines:
            other = ("--source", machines.altered_source(), "--name", "next-release")
            measured = self.stage[COORDINATOR].run("simulator", "measure", *other, "--toml")
            end_release(self.agreement, parties, next_release=measured, table=self.stage.table)
            yield Note("", "both owners are back, and signed that the release is over")
            self._plan_keys()
            for service in self.services:
                service.apply(self._plan_of(service), "--key", service.key)
                yield Note(service.owner, "planned again, and put the policy in place")
            thief = Thief(self.stage, self.services, machines, agreement=self.agreement, sealed=self.sealed)
            refused = thief.with_ended_release()
            yield from _told(refused)
            yield from self._explained(refused)

    def _explained(self, refused: Refused) -> Iterator[Note]:
        """What owners find out where their KMS, like AWS's, does not say why."""
        document = self.stage.table / "ended.document"
        document.write_bytes(refused.document or b"")
        explaining = [
            self.stage[service.owner].begin(
                *("kms", "explain", *self._terms(service), "--document", document),
                *(*self.stage.trust, "--json"),
            )
            for service in self.services
        ]
        for command in explaining:
            found = command.answer(status=KEPT_OUT_STATUS)
            denied = {statement for answer in found["answers"] for statement in answer["denied_by"]}
            named = ", ".join(sorted(denied))
            yield Note(command.role.id, f"explained from its own policy, without the log: {named}")

    def _plan_keys(self) -> None:
        """Every owner, from the agreement's file as it is now."""
        planning = [
            self.stage[service.owner].begin(
                *("kms", "plan", *self._terms(service), "--format", "json", "-o", _PLAN)
            )
            for service in self.services
        ]
        for command in planning:
            command.finish()

    def _plan_of(self, service: KeyService) -> Path:
        return self.stage[service.owner].home / _PLAN

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


def _told(refused: Refused) -> Iterator[Note]:
    yield Note("", refused.deed)
    for where, sentence in refused.said.items():
        yield Note(where, sentence)
