"""Every error that a person can meet has one stable code, and the code belongs to it alone."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections import Counter
from collections.abc import Iterator

from protos.formats.errors import ConcordatError
from tests.meta.repository import SHIPPED

CODE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*(/[a-z0-9]+(-[a-z0-9]+)*)?")


def import_everything() -> None:
    """Imports every module that ships, so that every error class exists."""
    for name in SHIPPED:
        package = importlib.import_module(name)
        for module in pkgutil.walk_packages(package.__path__, prefix=f"{name}."):
            if not module.name.endswith(".__main__"):
                importlib.import_module(module.name)


def families(root: type[ConcordatError]) -> Iterator[type[ConcordatError]]:
    yield root
    for child in root.__subclasses__():
        if child.__module__.partition(".")[0] in SHIPPED:
            yield from families(child)


def test_every_error_has_a_code_of_its_own() -> None:
    import_everything()
    errors = set(families(ConcordatError))
    assert len(errors) > 1
    assert [error.__qualname__ for error in errors if "code" not in vars(error)] == []
    assert [error.code for error in errors if not CODE.fullmatch(error.code)] == []
    assert [code for code, uses in Counter(error.code for error in errors).items() if uses > 1] == []
