"""Asks a party's KMS for a key, through a parent that carries bytes and can read none.

recipient     the RSA key of this life, and the document that shows it to KMS
request       which call to KMS it is, written and signed; its answer, read
signing       AWS Signature Version 4
answer        the HTTP response around the answer
enveloped     CiphertextForRecipient, read and opened
tls           TLS to the agreed endpoint, in memory; the only module that may import OpenSSL
errands       all of it together, step by step

Nothing here dials, listens or waits.
"""
