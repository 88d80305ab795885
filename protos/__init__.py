"""Everything the roles agree on, and nothing else.

`formats` holds the byte formats (pure: no sockets, no files, no clock); `v1` the gRPC service between the
people's clients and the coordinator. This package imports no role; every role imports this package.
The wire specification is `protos/README.md`.
"""
