"""What runs in the SIMULATED enclave's process before the enclave's own code, and shuts the door behind it.

Measured as PCR1. Only the standard library is used here, and nothing is imported from the application.

| what the enclave cannot do | mechanism | needs |
|---|---|---|
| make sockets, connect, bind (any family, vsock too) | seccomp | Linux 3.17, x86_64 or aarch64 |
| start or signal processes, trace them, read their memory | seccomp | same |
| open anything for writing, change modes, owners, attributes | seccomp | same |
| mount, unshare, load code into the kernel, io_uring, bpf | seccomp | same |
| read files beyond image, Python, libraries, cgroup limits | Landlock | Linux 5.13 with it enabled |
| reach the network, should seccomp fail to hold | network namespace | permission for user namespaces |
| use privileges, gain them by exec, dump core, outlive the machine | capset, prctl, rlimits | any Linux |

Seccomp and Landlock are required: without either the enclave does not start. Namespaces are an addition, and
the report says whether there are any. Names and sizes of files (`stat`) are not hidden, and nothing hides the
enclave's memory from the owner of the computer: that is what the real machine is for.
"""
