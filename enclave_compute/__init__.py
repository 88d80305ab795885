"""The trusted computing base: what runs inside the enclave and is measured into its registers.

Exactly this folder and `protos/` are measured. An enclave is bound for life to one agreement: bind, lock,
attest, receive, compute, release, end.

Layout: `server` reads frames from the parent, which is hostile; `life` holds the state of this enclave's one
life and asks `phases` what is allowed now; `binding` verifies the agreement and locks it into PCR16; `keys`
are made after that; `slot` opens sealed datasets into the `engine`; `runs` decides whether a run is allowed;
everything computed from data leaves through `disclosure` and nowhere else; `ledger` writes down what left.
`nsm` is the way to the security module. Nothing here knows whether that module is real: the parties do.
"""
