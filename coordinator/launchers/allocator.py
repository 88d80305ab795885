"""AWS's `allocator.yaml`: what an instance sets aside for enclaves, and the text that sets it aside.

The file is read as AWS's own allocator reads it (aws-nitro-enclaves-cli 1.5.0, `nitro-enclaves-allocator`),
which is not YAML: below a line `---` each line is a comment, or one of three keys, a colon and a value.
What that script would refuse, skip or read differently from how it looks is refused here, with the line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from coordinator.errors import AllocatorFileError

PATH: Final = "etc/nitro_enclaves/allocator.yaml"
SERVICE: Final = "nitro-enclaves-allocator.service"
_TEXT_MAX_BYTES: Final = 64 * 1024
_NUMBER_MAX: Final = 2**32
_LINE: Final = re.compile(r'([-_a-z0-9]+):[ \t]+"?([^"#:]*?)"?')
_NUMBER: Final = re.compile(r"[0-9]{1,10}")
_CPU_RANGE: Final = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")
_KEYS: Final = frozenset({"memory_mib", "cpu_count", "cpu_pool"})


@dataclass(frozen=True)
class Reservation:
    """What is set aside for all enclaves of an instance together."""

    memory_mib: int
    cpu_count: int

    def yaml(self) -> str:
        """The file that sets it aside."""
        return f"---\nmemory_mib: {self.memory_mib}\ncpu_count: {self.cpu_count}\n"


def parse_allocator_untrusted(text: bytes) -> Reservation:
    """What the file sets aside. Raises `AllocatorFileError`."""
    if len(text) > _TEXT_MAX_BYTES:
        raise _refused(0, f"got {len(text)} bytes, expected at most {_TEXT_MAX_BYTES}")
    try:
        lines = text.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise _refused(0, "expected ASCII text") from error
    if lines.pop():
        raise _refused(len(lines) + 1, "the last line has no end, and the allocator does not read it")
    values: dict[str, str] = {}
    has_begun = False
    for number, line in enumerate(lines, 1):
        stripped = line.strip(" \t")
        if stripped == "---":
            has_begun = True
        elif has_begun and not stripped.startswith("#"):
            key, value = _key_and_value(number, stripped)
            if key in values:
                raise _refused(number, f"{key} stands here twice")
            values[key] = value
    return _reservation(values)


def parse_cpu_list_untrusted(text: str) -> list[int]:
    """The numbers of a list such as `2,3,6-9`, as the kernel writes them. Raises `AllocatorFileError`."""
    numbers: list[int] = []
    for part in text.strip().split(","):
        found = _CPU_RANGE.fullmatch(part.strip())
        if found is None:
            raise AllocatorFileError(
                "a list of CPUs is not as expected: numbers and ranges such as 2,3,6-9",
                hint="choose whole cores: lscpu --extended shows which CPUs share one",
            )
        first, last = int(found[1]), int(found[2] or found[1])
        numbers += range(first, last + 1)
        if last < first or len(set(numbers)) != len(numbers):
            raise AllocatorFileError(
                "a list of CPUs names one twice, or a range backwards", hint="name each CPU once"
            )
    return numbers


def _key_and_value(number: int, line: str) -> tuple[str, str]:
    found = _LINE.fullmatch(line)
    if found is None or found[1] not in _KEYS:
        raise _refused(number, f"expected one of {', '.join(sorted(_KEYS))}, a colon and a number or list")
    return found[1], found[2].strip()


def _reservation(values: dict[str, str]) -> Reservation:
    if "memory_mib" not in values:
        raise _refused(0, "memory_mib is missing below the line ---")
    if len(values) != 2:
        raise _refused(0, "expected exactly one of cpu_count and cpu_pool")
    memory_mib = _number(values["memory_mib"], "memory_mib")
    if "cpu_count" in values:
        return Reservation(memory_mib, _number(values["cpu_count"], "cpu_count"))
    return Reservation(memory_mib, len(parse_cpu_list_untrusted(values["cpu_pool"])))


def _number(text: str, key: str) -> int:
    if not _NUMBER.fullmatch(text) or not 0 < int(text) < _NUMBER_MAX:
        raise _refused(0, f"{key}: expected a whole number above 0")
    return int(text)


def _refused(line: int, problem: str) -> AllocatorFileError:
    where = f"/{PATH}, line {line}" if line else f"/{PATH}"
    return AllocatorFileError(
        f"{where}: {problem}", hint="`concordat coordinator plan` prints a file that the allocator takes"
    )
