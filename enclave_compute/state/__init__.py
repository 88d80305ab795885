"""How the ledger and the keys of an enclave outlive it, where the agreement has `state`.

content       one entry with what is kept beside it, and its seal
chain         whether opened entries are one ledger
journal       this life's own records
offered       records of earlier lives, and what witnesses say of them
taking_up     all of it together: when a state may begin or go on

The parent keeps the records and chooses which to offer; it can read none, make none and swap none, and what
it leaves out the witnesses know.
"""
