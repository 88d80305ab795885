"""What `nitro-cli` prints: JSON read strictly, and its error codes in words.

The fields are those of nitro-cli 1.5.0 (`src/common/json_output.rs`). Text is bounded, keys that are needed
are required with their types, keys that are not known are tolerated (a newer nitro-cli may add some), a key
that stands twice is refused. Its error messages are not passed on; its codes are
(`src/common/document_errors.rs`).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final

from coordinator.errors import NitroCliError

ANSWER_MAX_BYTES: Final = 256 * 1024
_TEXT_MAX_CHARACTERS: Final = 128
_NUMBER_MAX: Final = 2**32
_ENCLAVES_MAX: Final = 64
_CODE: Final = re.compile(rb"\[ (E[0-9]{2}) \]")
_SAYS_ONLY_THAT_ANOTHER_FAILED: Final = frozenset({"E38", "E39"})
_LOGS: Final = "see /var/log/nitro_enclaves, and `nitro-cli explain --error-code"

NO_SUCH_NAME: Final = "E58"
"""Of terminate-enclave and console: no enclave has that name."""

MEANINGS: Final[dict[str, tuple[str, str]]] = {
    "E05": (
        "the process that keeps the enclave does not start",
        "the system has no room for another process; see /var/log/nitro_enclaves",
    ),
    "E07": (
        "/run/nitro_enclaves cannot be read",
        "put the coordinator's user into the group ne (usermod -aG ne USER) and start it again",
    ),
    "E18": (
        "the log file belongs to somebody else",
        "put the coordinator's user into the group ne (usermod -aG ne USER) and start it again",
    ),
    "E19": (
        "a file cannot be opened: the image, /dev/nitro_enclaves, or the log",
        "check that the coordinator's user may read the image and is in the group ne",
    ),
    "E21": ("a CPU is not in the pool", "whole cores have to be reserved: see cpu_pool in allocator.yaml"),
    "E22": (
        "fewer CPUs are reserved than the enclave is to have",
        "raise cpu_count in /etc/nitro_enclaves/allocator.yaml and restart nitro-enclaves-allocator.service",
    ),
    "E26": (
        "less memory was asked for than four times the image",
        "raise --enclave-memory-mib; `concordat coordinator plan` says what is needed",
    ),
    "E27": (
        "less memory is reserved than the enclave is to have",
        "raise memory_mib in /etc/nitro_enclaves/allocator.yaml and restart nitro-enclaves-allocator.service",
    ),
    "E29": (
        "the driver refused",
        "see the backtrace in /var/log/nitro_enclaves: most often cores are split, or on another NUMA node",
    ),
    "E31": (
        "the driver does not take the memory",
        "memory and CPUs have to be of one NUMA node: restart nitro-enclaves-allocator.service",
    ),
    "E32": (
        "the driver does not take a CPU",
        "whole cores only: --enclave-vcpus is a multiple of the threads of a core",
    ),
    "E33": ("the hypervisor did not start it", "the CID may be taken: start the job again"),
    "E35": ("the image cannot be read whole", "build or copy it again; `concordat image measure` checks it"),
    "E36": (
        "the enclave did not say in time that it has booted",
        "see whether the image boots in the emulator (--launcher qemu), and give it more memory",
    ),
    "E39": (
        "a process that keeps an enclave does not answer",
        "it ended just now, or belongs to another user: run one coordinator on an instance",
    ),
    NO_SUCH_NAME: ("no enclave has that name", "it has ended"),
    "E59": ("the image's signature does not verify", "sign the image again: `concordat image sign`"),
}


@dataclass(frozen=True)
class EnclaveDescription:
    """One enclave, by nitro-cli's word."""

    name: str
    """Empty if it has none."""
    enclave_id: str
    cid: int
    vcpus: int
    memory_mib: int
    state: str
    """RUNNING, TERMINATING or EMPTY; RUNNING for one that was just started."""
    is_debug: bool


def failure(command: str, status: int, said: bytes) -> NitroCliError:
    """The error for a command that ended with `status`, by the code that stands in what it `said`."""
    codes = [found.decode("ascii") for found in _CODE.findall(said[:ANSWER_MAX_BYTES])]
    causes = [code for code in codes if code not in _SAYS_ONLY_THAT_ANOTHER_FAILED]
    error_code = (causes or codes or [""])[0]
    if not error_code:
        return NitroCliError(f"nitro-cli {command}: ended with status {status}", hint=f"{_LOGS} E00`")
    if error_code not in MEANINGS:
        return NitroCliError(
            f"nitro-cli {command}: {error_code}", hint=f"{_LOGS} {error_code}`", error_code=error_code
        )
    meaning, hint = MEANINGS[error_code]
    return NitroCliError(f"nitro-cli {command}: {meaning} ({error_code})", hint=hint, error_code=error_code)


def parse_run_untrusted(text: bytes) -> EnclaveDescription:
    """The answer of run-enclave."""
    return _description(_parse(text, "run-enclave"), "run-enclave", was_started=True)


def parse_describe_untrusted(text: bytes) -> list[EnclaveDescription]:
    """The answer of describe-enclaves."""
    enclaves = _parse(text, "describe-enclaves")
    if not isinstance(enclaves, list) or len(enclaves) > _ENCLAVES_MAX:
        raise _malformed("describe-enclaves", f"expected a list of at most {_ENCLAVES_MAX} enclaves")
    return [_description(enclave, "describe-enclaves") for enclave in enclaves]


def parse_terminate_untrusted(text: bytes) -> bool:
    """The answer of terminate-enclave: whether it says so."""
    answer = _parse(text, "terminate-enclave")
    if not isinstance(answer, dict) or not isinstance(answer.get("Terminated"), bool):
        raise _malformed("terminate-enclave", "expected Terminated, true or false")
    return bool(answer["Terminated"])


def _description(value: Any, command: str, *, was_started: bool = False) -> EnclaveDescription:
    if not isinstance(value, dict):
        raise _malformed(command, "expected an object")
    state = "RUNNING" if was_started else _text(value, "State", command)
    flags = "" if was_started else _text(value, "Flags", command)
    return EnclaveDescription(
        name=_text(value, "EnclaveName", command) if was_started or "EnclaveName" in value else "",
        enclave_id=_text(value, "EnclaveID", command),
        cid=_number(value, "EnclaveCID", command),
        vcpus=_number(value, "NumberOfCPUs", command),
        memory_mib=_number(value, "MemoryMiB", command),
        state=state,
        is_debug=flags == "DEBUG_MODE",
    )


def _text(value: dict[str, Any], key: str, command: str) -> str:
    found = value.get(key)
    if not isinstance(found, str) or len(found) > _TEXT_MAX_CHARACTERS or not found.isprintable():
        raise _malformed(command, f"expected {key}, a text of at most {_TEXT_MAX_CHARACTERS} characters")
    return found


def _number(value: dict[str, Any], key: str, command: str) -> int:
    found = value.get(key)
    if type(found) is not int or not 0 <= found < _NUMBER_MAX:
        raise _malformed(command, f"expected {key}, a whole number below {_NUMBER_MAX}")
    return found


def _parse(text: bytes, command: str) -> Any:
    if len(text) > ANSWER_MAX_BYTES:
        raise _malformed(command, f"expected at most {ANSWER_MAX_BYTES} bytes")
    try:
        return json.loads(
            text.decode("utf-8"), object_pairs_hook=_without_duplicates, parse_constant=_no_constant
        )
    except (ValueError, RecursionError) as error:
        raise _malformed(command, "expected JSON") from error


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _no_constant(_name: str) -> Any:
    raise ValueError("not a number of JSON")


def _malformed(command: str, expected: str) -> NitroCliError:
    return NitroCliError(
        f"nitro-cli {command}: the answer is malformed, {expected}",
        hint="check that the program is AWS's: `nitro-cli --version` (this was written against 1.5.0)",
    )
