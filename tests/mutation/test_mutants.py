"""The mutation tool itself: it changes what decides, leaves alone what is read, and its targets exist."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.mutation.mutants import mutants
from tests.mutation.targets import TARGETS, Target

ROOT = Path(__file__).resolve().parents[2]

SOURCE = '''
@dataclass(frozen=True)
class Door:
    """Text that is read."""

    def open(self, key: int, who: str | None = None) -> bytes:
        if key < 1 or not who:
            raise ValueError(f"got {key + 1}")
        with self._lock():
            self._log(who)
        self.opened = True
        return require_bytes(self.inside, what="inside")
'''


def changes_of(source: str) -> list[str]:
    return [mutant.what for mutant in mutants(source)]


def test_every_decision_is_changed_and_no_text_is() -> None:
    assert changes_of(SOURCE) == [
        "never refuses `key < 1 or not who`",
        "without `key < 1`",
        "without `not who`",
        "`key <= 1` for `key < 1`",
        "without the not of `not who`",
        "without `with self._lock()`",
        "without `self._log(who)`",
        "without `self.opened = True`",
        "False for True",
        "without the check of `require_bytes(self.inside, what='inside')`",
    ]


def test_each_mutant_is_another_module() -> None:
    found = [ast.dump(ast.parse(mutant.source)) for mutant in mutants(SOURCE)]
    assert len(set(found) | {ast.dump(ast.parse(SOURCE))}) == len(found) + 1


def test_what_gives_an_object_its_first_state_is_left_alone() -> None:
    assert changes_of("class A:\n    def __init__(self):\n        self.a = b") == []


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.module)
def test_modules_and_tests_of_the_targets_are_there(target: Target) -> None:
    assert [path for path in (target.module, *target.tests) if not (ROOT / path).exists()] == []
    assert next(mutants((ROOT / target.module).read_text()), None) is not None
