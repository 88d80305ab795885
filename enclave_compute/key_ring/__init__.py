"""Keys that this enclave makes for the parties and keeps: used here, as agreed, and shown to nobody.

secrets     what the keys are made of; whoever keeps the state of a life keeps this
ring        the keys themselves, and what each can do
operations  the algorithms, one for each kind of key
tokens      pseudonyms for a column of identifiers
ledger      how often each key was used, and what is left
uses        whether a use is allowed, and its sealed answer
"""
