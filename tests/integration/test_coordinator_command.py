"""`concordat coordinator serve` as people run it, with the simulated machine and the real enclave."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from protos.v1 import concordat_pb2 as messages
from tests.unit.coordinator import calls
from tests.unit.coordinator.coordinator_process import CoordinatorProcess

COMMAND = "import sys; from party_client.cli.main import main; sys.exit(main())"
SERVE = (sys.executable, "-c", COMMAND, "coordinator", "serve", "--plaintext", "--listen", "127.0.0.1:0")


def test_a_real_enclave_starts_judges_the_agreement_and_ends(tmp_path: Path) -> None:
    options = ("--simulator", str(tmp_path / "simulator"), "--log-format", "json")
    coordinator = CoordinatorProcess(tmp_path / "state", *options, program=SERVE)
    coordinator.start()
    try:
        with coordinator.stub() as stub:
            job = calls.start_job(stub)
            assert (job.state, job.launcher) == (messages.JOB_STATE_FAILED, "local (SIMULATED)")
            assert job.detail == "the enclave refused: malformed"
        console = (tmp_path / "state" / "consoles" / f"{job.job_id}.log").read_text()
        assert "SIMULATED Nitro machine" in console
    finally:
        assert coordinator.end(signal.SIGTERM) == 0
