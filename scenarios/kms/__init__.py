"""A SIMULATED KMS: answers AWS KMS's protocol so that parties can see a key refused before they rely on AWS.

Beside it, the STS of the same account: roles are taken on as their trust policies say.

It ships with no role. It reads requests from anybody who can reach its port, and believes nobody:
signatures, policies, grants and attestation documents are checked as AWS documents it, and what is not
modelled is refused by name. It is a model of AWS and proves nothing about AWS. General layout:

    cli, server      the command; HTTPS with bounds, one thread a connection
    service          one request, from signature to answer; the log
    sigv4            who signed it (credentials)
    query            the protocol that STS speaks
    untrusted_json   its body; parameters: what it may be asked with
    operations/      what each operation does (call: what they share)
    policies         the policy language (principals, conditions, comparisons, condition_keys)
    authorization    who may do what, and which condition says no; grants: the way around a policy
    recipient        whose attestation document it is; enveloped: CMS for exactly that enclave
    blobs            what stands in a CiphertextBlob
    store            the state folder (keys, roles); planned: what `concordat kms plan` says, put there
"""
