"""QEMU's nitro-enclave machine in one folder: boots a real image on a machine that has no Nitro and no KVM.

Debian's QEMU leaves the machine out, so it is compiled from Debian's source by Debian's compiler, both
pinned. It shows that an image boots and measures as computed; its documents are signed by nobody, so it
proves nothing.
"""
