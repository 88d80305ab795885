from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kms_world import KmsWorld, running


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KmsWorld]:
    with running(tmp_path_factory.mktemp("kms")) as found:
        yield found
