"""What each operation does, once its request is signed and read.

call            what the operations share: the caller, the key, the permission
keys_and_policies, listings, grants, cryptographic, key_pairs    KMS's operations, by what they are about
assume_role     STS's
table           all of them by name
"""
