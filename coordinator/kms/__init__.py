"""The way out for enclaves to their parties' KMS: whose credentials a request carries, and where it may go.

Enclaves make and read what KMS is asked and answers; nothing here can. Layout: `credentials` says what is
handed to an enclave, and finds it in `assumed_roles` (AWS STS) or `credential_file` (for SIMULATED KMS);
`session_policy` is what a role is cut down to; `allowlist` is where requests may go, and `forwarder` carries
one there and the answer back; `options` are the command's.
"""
