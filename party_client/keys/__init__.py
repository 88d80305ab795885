"""Keys that the enclave made and keeps, as a participant uses them. Nothing here ever sees a private one.

public      their public halves, believed when an attestation document binds them
prepared    a use that is signed and can be approved before it is sent
approving   a party's consent to uses that it has looked at
tokenising  a column of identifiers, and its tokens
job_keys    all of it through one client: `client.keys(job, agreement)`
"""
