"""A SIMULATED Nitro machine: hypervisor and security module for one enclave, on anybody's computer.

It does what the real one does: measures the enclave's own files, starts them with nothing but two sockets,
and signs attestation documents in AWS's shape. What it cannot do is keep the enclave from the owner of the
computer, so its documents end at a root of its own, and everything it shows to a person says SIMULATED.

`pki` makes the certificates, `documents` the attestation documents, `pcrs` and `nsm` are the security module,
`image`, `interpreter`, `measure` and `staging` decide what will run and what it measures, `boot` is what runs
before it and confines it, `machine` is the life of one enclave, `cli` is `concordat simulator`.
"""
