"""What an organisation runs on its own machines: it agrees, verifies, seals its data and opens its results.

General layout. One module or package per thing that a party does, each usable alone:

    identity        who we are: one seed, the signing key and the receiving key made from it
    agreements      what was agreed: from TOML to canonical bytes, explained, compared, signed
    attestation     whom we trust: which enclave runs, on which code, under which root
    datasets        what we bring: read, checked against the agreed schema, encoded
    sealing, upload what leaves: chunks sealed to a verified enclave, resumable
    results         what comes back: opened, with the receipt that proves it
    transport       how it travels: gRPC to the coordinator, which is trusted by nobody
    cli             the `concordat` command; decides nothing, presents everything

The rule: `cli` may import everything here, nothing imports `cli`; `identity`, `agreements` and `attestation`
open no socket; nothing here imports another role. Importing this package imports nothing else.
"""
