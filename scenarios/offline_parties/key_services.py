"""The SIMULATED KMS of each owner: its account, its log, and the access keys that people of it have.

Each is a process with a home of its own, as AWS is apart from the party whose account it is. What its log
says is read for the party, who would read CloudTrail; only a SIMULATED KMS says there which condition failed.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from scenarios.catalogue import Scenario
from scenarios.errors import ScenarioError
from scenarios.place import UNSAFE_EMULATOR
from scenarios.role import Role
from scenarios.stage import START_TIMEOUT_S, Stage

OPERATOR_ACCOUNT: Final = "999900001111"
PARENT: Final = f"arn:aws:iam::{OPERATOR_ACCOUNT}:role/coordinator"
ADMINISTRATOR: Final = "key-admin"
SEALER: Final = "sealer"
_STATE: Final = "account"
_MAY_ASSUME: Final = '{"Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}}'
_FIRST_LINE: Final = re.compile(r"\{.*\}\n")
_POLL_S: Final = 0.05


@dataclass
class KeyService:
    """One owner's account in one region."""

    owner: str
    role: Role
    """Whose process it is."""
    account: str
    region: str
    enclave_role: str
    endpoint: str = ""
    key: str = ""
    """ARN of the owner's key, when there is one."""

    @property
    def state(self) -> Path:
        """The folder that is the account."""
        return self.role.home / _STATE

    @property
    def authority(self) -> Path:
        """Who vouches for the endpoint (PEM)."""
        return self.state / "tls" / "ca.pem"

    @property
    def port(self) -> str:
        """Of the endpoint."""
        return self.endpoint.rpartition(":")[2]

    def arn(self, name: str) -> str:
        """Of a role of the account."""
        return f"arn:aws:iam::{self.account}:role/{name}"

    @property
    def role_arn(self) -> str:
        """Of the role under which enclaves' requests come."""
        return self.arn(self.enclave_role)

    def start(self, *believing: str | Path) -> None:
        """Serves from now on, with options that say which documents it believes. Raises `ScenarioError`."""
        log = self._log
        where = ("--state", self.state, "--account", self.account, "--region", self.region)
        serving = self.role.begin("simulator", "kms", "serve", *where, *believing, log=log)
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not _FIRST_LINE.match(said := log.read_text(encoding="utf-8")):
            if serving.process.poll() is not None or time.monotonic() > deadline_s:
                raise ScenarioError(f"the KMS of {self.owner} did not start", hint=said.strip() or None)
            time.sleep(_POLL_S)
        self.endpoint = json.loads(said.splitlines()[0])["endpoint"]

    def records(self) -> list[dict[str, Any]]:
        """The log, a record for each request."""
        return [json.loads(line) for line in self._log.read_text(encoding="utf-8").splitlines()[1:]]

    def granted(self) -> dict[str, Any]:
        """The record of a data key that was let go of. Raises `ScenarioError` where the last was not."""
        decrypted = [each for each in self.records() if each.get("operation") == "Decrypt"]
        if not decrypted or decrypted[-1]["outcome"] != "ok":
            raise ScenarioError(f"the KMS of {self.owner} let go of no key: {decrypted[-1:]}")
        return decrypted[-1]

    def asked_for_enclaves(self) -> list[str]:
        """What the coordinator and enclaves have asked for, in order."""
        found = [str(each.get("operation")) for each in self.records()]
        return [operation for operation in found if operation in ("AssumeRole", "Decrypt")]

    def apply(self, plan: Path, *options: str) -> str:
        """Puts a plan in place, as Terraform does at AWS; the ARN of the key."""
        return self.role.run("simulator", "kms", "apply", "--state", self.state, *options, plan).strip()

    def access_key(self, name: str) -> dict[str, str]:
        """Variables for AWS's tools: a session of somebody of this account."""
        return self.issue("--principal", self.arn(name), "--session", name)

    def issue(self, *options: str | Path) -> dict[str, str]:
        """The variables that `concordat simulator kms credential` prints."""
        printed = self.role.run("simulator", "kms", "credential", "--state", self.state, *options)
        words = (word for line in printed.splitlines() for word in shlex.split(line)[1:])
        return dict(word.split("=", 1) for word in words)

    @property
    def _log(self) -> Path:
        return self.role.home / "log"


class KeyServices:
    """Those of all owners, by owner."""

    def __init__(self, scenario: Scenario, stage: Stage) -> None:
        self._stage = stage
        self.by_owner: Mapping[str, KeyService] = {
            owner: KeyService(owner, stage.add(f"{owner}-kms"), kms["account"], kms["region"], kms["role"])
            for owner, kms in scenario.key_services.items()
        }

    def __iter__(self) -> Iterator[KeyService]:
        return iter(self.by_owner.values())

    def start(self) -> None:
        """All of them; who vouches for each lies on the table afterwards."""
        simulated = self._stage.place.simulated
        believing = ("--attestation-root", self._stage.root) if simulated else UNSAFE_EMULATOR
        for service in self:
            service.start(*believing)
            shutil.copy(service.authority, self._stage.table / f"{service.owner}-kms.pem")

    def filled_in(self, agreement: str) -> str:
        """The agreement's text with the ports at which they listen."""
        for service in self:
            agreement = agreement.replace(f"{service.owner.upper()}_KMS_PORT", service.port)
        return agreement

    def parent_key(self) -> dict[str, str]:
        """The coordinator's own access key, which all accounts know: at AWS its instance has a role."""
        first, *others = self
        may = first.role.home / "may-assume.json"
        may.write_text(_MAY_ASSUME, encoding="utf-8")
        also = [word for service in others for word in ("--also", str(service.state))]
        made = first.issue("--principal", PARENT, "--session", "i-0123456789abcdef0", "--policy", may, *also)
        return {name: value for name, value in made.items() if "ACCESS_KEY" in name or "TOKEN" in name}

    def serve_options(self, folder: Path) -> tuple[str | Path, ...]:
        """The coordinator's: where requests for keys may go, and whose roles it takes on where."""
        endpoints, authorities = folder / "kms-endpoints.yaml", folder / "kms-authorities.pem"
        lines = [f"- {{address: localhost, port: {service.port}}}" for service in self]
        endpoints.write_text("\n".join(["allowlist:", *lines, ""]), encoding="utf-8")
        authorities.write_text("".join(service.authority.read_text() for service in self), encoding="utf-8")
        places = [f"--sts-endpoint={service.account}={service.endpoint}" for service in self]
        return ("--kms-endpoints", endpoints, "--kms-assume-roles", *places, "--sts-ca", authorities)
