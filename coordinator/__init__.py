"""The coordinator: relays, schedules and stores for the parties, and is trusted by none of them.

It may stop, delay and drop. It cannot read what it moves: it imports no cryptography and none of the formats
that are sealed or signed, so it could not even parse them.

Layout: `service` answers the gRPC calls and does nothing itself; `relay` takes datasets in for a job,
`deposits` for whatever jobs there will be, both through `intake`; `spool` keeps their chunks on disk,
`forwarding` brings them to an enclave; `bringing` sees to it that every enclave gets what waits for it, and
`kms` is the way to the key services that enclaves want something from; `supervisor` starts enclaves, watches
them and finds them again after a restart, as `jobs` (pure) allows; `runs` asks for runs and keeps what is
released. `store` is all SQL, `launchers` are the places where an enclave can live, `enclave_link` is the way
to one. `daemon` puts these together; `server` and `cli` face outwards.
"""
