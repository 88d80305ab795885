"""An enclave bound to the agreement of the world, for tests of the client against a real one."""

from __future__ import annotations

from tests.enclave_fixtures import agreed, bound, enclave

__all__ = ["agreed", "bound", "enclave"]
