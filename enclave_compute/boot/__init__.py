"""Process 1 of the enclave's image: what happens between the kernel and the enclave's own code.

It reads nothing that the parent can influence but one byte of the boot heartbeat. Either everything it
promises holds when the enclave starts, or the machine is switched off:

- the whole file system is read-only, kernel interfaces included;
- the kernel was started with the command line that was built in, which no register says by itself;
- the kernel's random pool has been fed by the security module;
- the clock is the hypervisor's where there is one (AWS), and it says so where there is none;
- the enclave runs as a user without any right, alone but for this process, and cannot gain any.

`init` has the order, `mounts`, `command_line`, `entropy`, `clock_source`, `heartbeat` and `privileges` one
step each, `kernel` the calls that Python has no function for. How the image is made: `enclave_compute.image`.
"""
