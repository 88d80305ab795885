"""The enclave's kernel: which options it has (`enclave.config`), and a build of it that gives the same bytes twice.

Linux as Debian ships its source, compiled by Debian's compiler, both pinned; nothing of the machine it is built on
counts. The result's hash is pinned too, so a build that differs is an error and not another kernel.
"""
