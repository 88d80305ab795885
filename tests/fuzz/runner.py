"""Runs a fuzz target under atheris, with seeds from the golden vectors and a mutator that knows CBOR.

libFuzzer's own mutations break the lengths of canonical CBOR almost every time, so half of the mutations are
made to the value instead: one item of it is changed, dropped or doubled, and the whole is encoded again.
Arguments are libFuzzer's; a folder among them is the corpus, which gets the seeds when it has none.
"""

from __future__ import annotations

import gc
import hashlib
import random
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FunctionType
from typing import Any, Final

from protos.formats import limits
from protos.formats.canonical import decode_untrusted, encode
from protos.formats.errors import ConcordatError

LIMITS: Final = ("-timeout=10", "-rss_limit_mb=2048", "-max_len=8192", "-print_final_stats=1")
OURS: Final = frozenset({"enclave_compute", "party_client", "protos", "scenarios"})
Mutate = Callable[[bytes, int], bytes]


def run(one_input: Callable[[bytes], None], *, seeds: Iterable[bytes]) -> None:
    """Fuzzes until libFuzzer is told to stop."""
    import atheris

    given = sys.argv[1:]
    for folder in (Path(argument) for argument in given if not argument.startswith("-")):
        folder.mkdir(parents=True, exist_ok=True)
        for seed in seeds:
            (folder / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)

    def mutated(data: bytes, max_size: int, seed: int) -> bytes:
        changed: bytes = mutate_value(data, max_size, random.Random(seed), atheris.Mutate)
        return changed

    _instrument(atheris.instrument_func)
    atheris.Setup([sys.argv[0], *LIMITS, *given], one_input, custom_mutator=mutated)
    atheris.Fuzz()


def _instrument(instrument: Callable[[FunctionType], object]) -> None:
    """Our own code alone: the libraries' would take minutes, and its branches are not what is looked for."""
    for function in [one for one in gc.get_objects() if isinstance(one, FunctionType)]:
        if str(function.__module__).partition(".")[0] in OURS:
            instrument(function)


def mutate_value(data: bytes, max_size: int, chance: random.Random, mutate: Mutate) -> bytes:
    """`data` with one item of the value that it encodes changed; with other bytes if it encodes none."""
    try:
        value = decode_untrusted(data, max_bytes=limits.MIB, what="seed")
        if chance.random() < 0.5:
            changed = encode(_with_one_change([value], chance, mutate)[0])
            if len(changed) <= max_size:
                return changed
    except (ConcordatError, IndexError):
        pass
    return bytes(mutate(data, max_size))


def _with_one_change(place: Any, chance: random.Random, mutate: Mutate) -> Any:
    """`place`, a list or a map, after one item somewhere inside it was changed."""
    root = place
    while True:
        step = chance.choice(sorted(place) if isinstance(place, dict) else range(len(place)))
        inside = place[step]
        if not isinstance(inside, list | dict) or not inside or (place is not root and chance.random() < 0.2):
            break
        place = inside
    way = chance.randrange(8)
    if way == 0:
        place[step] = chance.choice([None, True, 0, -1, 2**63 - 1, "", b"", [], {}, [inside], {"a": inside}])
    elif way == 1 and place is not root:
        del place[step]
    elif way == 2 and isinstance(place, list):
        place.insert(step, inside)
    elif way == 3 and isinstance(place, dict):
        place[str(step) + chance.choice("as_")] = inside
    else:
        place[step] = _changed(inside, chance, mutate)
    return root


def _changed(value: Any, chance: random.Random, mutate: Mutate) -> Any:
    if isinstance(value, bytes):
        return bytes(mutate(value, len(value) + 8))
    if isinstance(value, str):
        return bytes(mutate(value.encode(), len(value) + 8)).decode(errors="replace")
    if isinstance(value, bool) or not isinstance(value, int):
        return chance.choice([None, True, False, 1, "a"])
    return max(-(2**63), min(2**63 - 1, value + chance.choice([-1, 1, 2**31, -(2**31), 2**62, -value])))
