"""All that the coordinator remembers, in one SQLite file: the only package with SQL in it.

Sealed chunks are not in here but in `spool`. What a commit acknowledges survives a power cut (write-ahead
log, synchronous=FULL). Losing or rolling back this file costs time, not secrecy: enclave and parties check
everything that comes from it again.
"""

from coordinator.store.store import Store

__all__ = ["Store"]
