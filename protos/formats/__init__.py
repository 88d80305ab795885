"""The formats that are hashed, signed, sealed or framed: one module per concept of `protos/README.md`.

Pure by rule: a function here takes bytes and values and returns bytes and values. Functions that read bytes
made by somebody else end in `_untrusted` and raise `FormatError` or a subclass, nothing else.
"""
