"""The enclave of `tests.world` as fixtures, for every folder whose `conftest` takes them over."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from enclave_compute import server as server_module
from enclave_compute.server import Server
from protos.formats.agreement import Agreement
from protos.formats.calls import Refusal
from tests import world
from tests.world import PURCHASES, VISITS, Enclave, RefusedByEnclaveError

Connect = Callable[[], socket.socket]
"""Connects to a served enclave as its parent would."""


@pytest.fixture
def enclave(tmp_path: Path) -> Iterator[Enclave]:
    """An enclave that has just started."""
    with world.simulated_enclave(tmp_path) as enclave:
        yield enclave


@pytest.fixture
def agreed(enclave: Enclave) -> Agreement:
    """The agreement of the world, for the root of `enclave`."""
    (root,) = enclave.roots
    return world.agreement(root.sha256)


@pytest.fixture
def bound(enclave: Enclave, agreed: Agreement) -> Enclave:
    """`enclave`, bound to `agreed`."""
    enclave.bind(agreed)
    return enclave


@pytest.fixture
def ready(bound: Enclave, agreed: Agreement) -> Enclave:
    """`enclave` with both datasets accepted."""
    bound.upload(world.seal(agreed, bound.keys(), "visits", [VISITS]))
    bound.upload(world.seal(agreed, bound.keys(), "purchases", [PURCHASES]))
    return bound


@pytest.fixture
def parent(enclave: Enclave, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connect]:
    """`enclave` behind its server, which here waits a second for the rest of a frame and no longer."""
    monkeypatch.setattr(server_module, "FRAME_DEADLINE_S", 1)
    monkeypatch.setattr(server_module, "_POLL_S", 0.05)
    path = f"\0concordat-test-{os.getpid()}-{os.urandom(4).hex()}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        thread = threading.Thread(target=Server(enclave.life, listener, parent_cids={3}).serve)
        thread.start()

        def connect() -> socket.socket:
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(10)
            connection.connect(path)
            return connection

        yield connect
        enclave.life.close()
        thread.join(timeout=10)
        assert not thread.is_alive()


def refused(code: Refusal) -> pytest.RaisesExc[RefusedByEnclaveError]:
    """The enclave's whole answer is `code`."""
    return pytest.raises(RefusedByEnclaveError, match=f"^{code}$")
