"""Debian's packages as inputs of a build: named by hash, fetched, unpacked, and run without being installed.

Layout: `wanted` says which packages a build asks for, `resolve` turns that into a list once, `lock` is that list;
`mirror` fetches what a lock names and `deb` unpacks it; `build_root` is a folder of unpacked packages in which
a command runs with no network and none of this machine's files.
"""
