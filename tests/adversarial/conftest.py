"""Fixtures of this folder: the enclave that is attacked."""

from __future__ import annotations

from tests.enclave_fixtures import agreed, bound, enclave, parent, ready

__all__ = ["agreed", "bound", "enclave", "parent", "ready"]
