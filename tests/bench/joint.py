"""The secured path with every role in its own process: coordinator, enclave, two parties; the analyst here.

The clock runs from the word "go" to the parties until the analyst has verified the receipt and opened the
result. Processes are started, and the enclave is verified, before: nor is the baseline's start counted.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from party_client.agreements import compile_toml
from party_client.agreements.agreement_file import save_agreement
from party_client.attestation import TrustedRoots
from party_client.client import Client
from party_client.identity import Identity
from party_client.results import Result
from party_client.tls import make_development_certificates
from protos.formats.agreement import Agreement
from tests.bench import workload
from tests.bench.measuring import cpu_s, peak_mib

_SERVING: Final = "coordinator: serving at "
_CLI: Final = (sys.executable, "-m", "party_client.cli.main")


@dataclass(frozen=True)
class Round:
    """One joint computation: seconds, and peak MiB and processor seconds of each role."""

    wall_s: float
    upload_s: float
    run_s: float
    peaks_mib: dict[str, float]
    cpu_s: dict[str, float]
    result: Result


class World:
    """Keys, certificates, a coordinator, an agreement; each round is a job of its own. A context manager."""

    def __init__(self, folder: Path, memory_mib: int) -> None:
        self._folder = folder
        self._sockets = tempfile.TemporaryDirectory(prefix="concordat-")
        self._agreement = self._agree(memory_mib)
        self._coordinator = self._start_coordinator(memory_mib)
        self._address = self._wait_until_serving()
        self.analyst = self._client("analyst")
        self.analyst.put_agreement(self._agreement)
        for party in ("a", "b"):
            with self._client(party) as client:
                client.approve(self._agreement)

    def __enter__(self) -> World:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.analyst.close()
        self._coordinator.terminate()
        self._coordinator.wait(timeout=60)
        self._sockets.cleanup()

    def play(self, paths: dict[tuple[str, str], Path], suffix: str, compression: str) -> Round:
        """One round over the files with this suffix."""
        job = self.analyst.start_job(self._agreement)
        parties = {
            name: self._start_party(name, job, paths[name, suffix], compression) for name in ("a", "b")
        }
        for party in parties.values():
            _line(party)
        enclave = self.analyst.verify(job, self._agreement)
        servers = {"coordinator": self._coordinator.pid, "enclave": self._enclave_pid()}
        began_s, began_cpu_s = time.perf_counter(), {role: cpu_s(pid) for role, pid in servers.items()}
        began_here_s = time.process_time()
        for party in parties.values():
            _say(party)
        reports = {name: _line(party) for name, party in parties.items()}
        uploaded_s = time.perf_counter()
        run = self.analyst.run(job, self._agreement, "totals", enclave=enclave)
        result = self.analyst.result(job, self._agreement, run)
        result.frame  # noqa: B018 - a data frame is what the analyst wanted
        ended_s = time.perf_counter()
        peaks = {role: peak_mib(pid) for role, pid in servers.items()}
        cpu = {role: cpu_s(pid) - began_cpu_s[role] for role, pid in servers.items()}
        for name, report in reports.items():
            peaks[f"party {name}"], cpu[f"party {name}"] = report["peak_mib"], report["cpu_s"]
        cpu["analyst"] = time.process_time() - began_here_s
        self.analyst.coordinator.close_job(job)
        for party in parties.values():
            party.wait()
        return Round(ended_s - began_s, uploaded_s - began_s, ended_s - uploaded_s, peaks, cpu, result)

    def _agree(self, memory_mib: int) -> Agreement:
        folder = self._folder
        for name in ("a", "b", "analyst"):
            identity = Identity.generate(name, name)
            identity.save(folder / f"{name}.key")
            identity.public.save(folder / f"{name}.pub")
        make_development_certificates(
            folder / "tls", ["coordinator", "a", "b", "analyst"], now=datetime.now(UTC)
        )
        state = ("--state", str(folder / "simulator"))
        release = subprocess.run(
            [*_CLI, "simulator", "measure", "--toml", *state], check=True, capture_output=True
        )
        (folder / "release.toml").write_bytes(release.stdout)
        shutil.copy(folder / "simulator" / "root.pem", folder / "root.pem")
        (folder / "bench.toml").write_text(
            workload.AGREEMENT.format(
                memory_mib=memory_mib, threshold=workload.THRESHOLD, sql=workload.SECURED_SQL
            )
        )
        agreement = compile_toml(folder / "bench.toml")
        save_agreement(folder / "bench.agreement", agreement)
        return agreement

    def _start_coordinator(self, memory_mib: int) -> subprocess.Popen[bytes]:
        arguments = ("coordinator", "serve", "--listen", "127.0.0.1:0", "--tls", str(self._folder / "tls"))
        states = (
            "--state",
            str(self._folder / "coordinator"),
            "--simulator",
            str(self._folder / "simulator"),
        )
        # The process limit is on address space, which is far more than the engine's own limit.
        memory = ("--enclave-memory-mib", str(4 * memory_mib + 4096))
        with (self._folder / "coordinator.log").open("wb") as log:
            return subprocess.Popen(
                [*_CLI, *arguments, *states, *memory],
                stdout=log,
                stderr=log,
                env={"TMPDIR": self._sockets.name, "PYTHONPATH": str(Path.cwd()), "HOME": str(self._folder)},
            )

    def _wait_until_serving(self) -> str:
        log = self._folder / "coordinator.log"
        for _ in range(600):
            for line in log.read_text().splitlines():
                if line.startswith(_SERVING):
                    return line.removeprefix(_SERVING).partition(" ")[0]
            time.sleep(0.05)
        raise RuntimeError(f"the coordinator did not start: {log.read_text()[-400:]}")

    def _client(self, name: str) -> Client:
        return Client.connect(
            self._address,
            identity=Identity.load(self._folder / f"{name}.key"),
            tls=self._folder / "tls",
            roots=TrustedRoots.from_pem((self._folder / "root.pem").read_bytes(), name="simulated"),
            state=self._folder / f"state-{name}",
        )

    def _start_party(self, name: str, job: str, file: Path, compression: str) -> subprocess.Popen[str]:
        words = (str(self._folder), self._address, job, name, str(file), compression)
        return subprocess.Popen(
            [sys.executable, "-m", "tests.bench.party", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def _enclave_pid(self) -> int:
        (status,) = [json.loads(path.read_text()) for path in Path(self._sockets.name).glob("*/*.json")]
        return int(status["enclave_pid"])


def _line(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"a party ended with status {process.wait()}")
    answer: dict[str, Any] = json.loads(line)
    return answer


def _say(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()
