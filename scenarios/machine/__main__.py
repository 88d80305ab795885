"""`python -m scenarios.machine run`: one SIMULATED Nitro machine and its one enclave."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from protos.formats.errors import ConcordatError

try:
    from scenarios.machine.cli import default_source, default_state
    from scenarios.machine.documents import ModuleId
    from scenarios.machine.machine import MachineOptions, run_until_ended
except ModuleNotFoundError as missing:  # whoever installed a coordinator alone has no machine for it
    sys.exit(f"error: a simulated machine needs {missing.name}: pip install 'concordat[scenarios]'")

_FAILED = 1


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; the exit status is the enclave's, or 1 when it did not start."""
    try:
        return run_until_ended(_parse(arguments))
    except ConcordatError as error:
        sys.stderr.write(f"error: {error.message}\n")
        if error.hint:
            sys.stderr.write(f"hint: {error.hint}\n")
        return _FAILED


def _parse(arguments: list[str] | None) -> MachineOptions:
    parser = argparse.ArgumentParser(prog="python -m scenarios.machine", description=__doc__)
    run = parser.add_subparsers(required=True).add_parser(
        "run", help="boot one enclave and stay until it ends"
    )
    run.add_argument("--state", type=Path, default=default_state(), help="folder of root and images")
    run.add_argument("--socket", type=Path, required=True, help="where the enclave will listen")
    run.add_argument("--source", type=Path, default=default_source(), help="folder of the packages")
    run.add_argument("--memory-mib", type=int, help="most address space, in MiB")
    run.add_argument("--enclave-id", type=_enclave_id, help="16 hex digits; random unless given")
    run.add_argument("--debug", action="store_true", help="debug mode: documents show zeros in PCR0, 1 and 2")
    found = parser.parse_args(arguments)
    module_id = ModuleId.random()
    if found.enclave_id:
        module_id = ModuleId(module_id.instance_id, found.enclave_id)
    return MachineOptions(
        state=found.state.absolute(),
        socket=found.socket.absolute(),
        source=found.source.absolute(),
        module_id=module_id,
        memory_mib=found.memory_mib,
        debug=found.debug,
    )


def _enclave_id(text: str) -> str:
    if not re.fullmatch(r"[0-7][0-9a-f]{15}", text):
        raise argparse.ArgumentTypeError("expected 16 lower-case hex digits, the first one below 8")
    return text


if __name__ == "__main__":
    sys.exit(main())
