"""The parties and analysts who are cheated: what each of them does, with the unmodified client.

Everybody is honest. What they do raises whatever their client raises when it sees through the coordinator.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pandas as pd

from party_client.agreements import approval_status, compile_toml, require_digest_untrusted
from party_client.attestation import TrustedRoots
from party_client.client import Client, UploadOptions
from party_client.identity import Identity
from party_client.results import Result
from party_client.transport import Coordinator
from protos.formats.agreement import Agreement
from protos.formats.query import ParameterValue
from scenarios.comparison import require_same
from scenarios.hostile import data
from scenarios.hostile.mischief import Step

NAMES: Final[Mapping[str, str]] = {
    "publisher": "Publisher",
    "advertiser": "Advertiser",
    "analyst": "Analyst",
    "rival": "Rival analyst",
}
LEAST: Final = 40
_DATASETS: Final = {"publisher": ("visits", data.visits), "advertiser": ("purchases", data.purchases)}
_QUESTIONS: Final[Mapping[str, tuple[str, dict[str, ParameterValue]]]] = {
    "analyst": ("revenue", {"least": LEAST}),
    "rival": ("purchases_by_segment", {}),
}
_TOML: Final = Path(__file__).with_name("agreement.toml")


class People:
    """Everybody of the agreement, connected to one coordinator; a context manager."""

    def __init__(self, folder: Path, *, address: str, release_toml: str, root: Path) -> None:
        """Makes keys, writes the agreement into `folder`, and connects in plaintext: this coordinator would
        read along behind any TLS.
        """
        self._identities = {who: Identity.generate(who, name) for who, name in NAMES.items()}
        self.agreement: Final = self._write_agreement(folder, release_toml)
        roots = TrustedRoots.from_pem(root.read_bytes(), name="simulated")
        self._clients = {
            who: Client(Coordinator.in_plaintext(address), identity, roots=roots, state=folder / who)
            for who, identity in self._identities.items()
        }
        self._runs: dict[str, bytes] = {}

    def __enter__(self) -> People:
        return self

    def __exit__(self, *_: object) -> None:
        for client in self._clients.values():
            client.coordinator.close()

    def agree(self) -> None:
        """The publisher puts the agreement on the board, and all parties sign."""
        self._clients["publisher"].put_agreement(self.agreement)
        for party in self.agreement.parties:
            self._clients[party.id].approve(self.agreement)

    def start(self) -> str:
        """The publisher has an enclave started; the job's id."""
        return self._clients["publisher"].start_job(self.agreement)

    def take(self, step: Step, job_id: str) -> None:
        """Does what `step` says, with the enclave of `job_id`."""
        if step is Step.READ:
            self._read()
        elif step is Step.START:
            self.start()
        elif step is Step.SEND:
            self.send(job_id, "publisher")
        elif step is Step.ASK:
            self.ask(job_id, "analyst")
        else:
            self.receive(job_id, "analyst" if step is Step.RECEIVE else "rival")

    def send(self, job_id: str, who: str) -> None:
        """A party verifies the enclave, and seals and sends its dataset."""
        dataset, rows = _DATASETS[who]
        # Every attempt is a new upload: what was interrupted by a treachery is not continued.
        self._clients[who].upload(job_id, self.agreement, dataset, rows(), UploadOptions(restart=True))

    def ask(self, job_id: str, who: str) -> None:
        """An analyst asks its question, and remembers the run when it was released."""
        query, parameters = _QUESTIONS[who]
        self._runs[who] = self._clients[who].run(job_id, self.agreement, query, parameters)

    def receive(self, job_id: str, who: str) -> Result:
        """An analyst fetches, verifies and opens what its latest run released."""
        query, parameters = _QUESTIONS[who]
        return self._clients[who].result(
            job_id, self.agreement, self._runs[who], query_id=query, parameters=parameters
        )

    def compute(self, job_id: str) -> pd.DataFrame:
        """Both analysts ask and receive; the analyst's table, which is exactly the one computed in clear.

        Raises `MismatchError` if it is not.
        """
        for who in _QUESTIONS:
            self.ask(job_id, who)
        released = {who: self.receive(job_id, who).frame for who in _QUESTIONS}["analyst"]
        require_same(released, data.answer(LEAST))
        return released

    def _read(self) -> None:
        """The publisher fetches what it is asked to sign, and looks who has signed already."""
        digest = self.agreement.digest()
        stored = self._clients["publisher"].coordinator.get_agreement(digest)
        approval_status(require_digest_untrusted(stored.agreement, digest), stored.approvals)

    def _write_agreement(self, folder: Path, release_toml: str) -> Agreement:
        keys = folder / "keys"
        keys.mkdir(parents=True)
        for who, identity in self._identities.items():
            identity.public.save(keys / f"{who}.pub")
        (folder / "release.toml").write_text(release_toml, encoding="utf-8")
        written = folder / _TOML.name
        written.write_text(_TOML.read_text(encoding="utf-8"), encoding="utf-8")
        return compile_toml(written)
