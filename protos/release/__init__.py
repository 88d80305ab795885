"""Releases of the enclave's code: what a version measures, and how parties move from one to the next.

For those who build releases and those who rely on them; the enclave knows its agreement's own releases and
none of this, so none of it is measured. `measurements` is what a builder publishes of a version; `change`
is one change of an agreement's releases and a party's word on it; `history` puts changes in order and gives
the releases that are agreed after them. Pure, like `protos.formats`.
"""
