"""A dataset sealed under a key in its owner's KMS, as one file that anybody may carry.

General layout: `layout` says how the file is laid out, `writing` writes one as its chunks come, `reading`
reads one that somebody handed over and believes nothing in it that its owner did not sign. Followed:
protos/README.md, "Sealed file".
"""

from party_client.sealed_files.layout import SealedFileError
from party_client.sealed_files.reading import SealedFile, open_sealed_file, read_sealed_untrusted
from party_client.sealed_files.writing import SealedFileWriter

__all__ = ["SealedFile", "SealedFileError", "SealedFileWriter", "open_sealed_file", "read_sealed_untrusted"]
