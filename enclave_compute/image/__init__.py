"""How the enclave's image is made, measured and published. Nothing in this folder is in the image.

`contents` says which code of ours and of the package index goes in, `system` which part of Debian's Python;
`cpio`, `tree` and `ramdisks` lay both out bit for bit the same everywhere, `debian` and `kernel` fetch and
build what they rest on, `eif` writes and reads the image file, `build` puts it all together.
"""
