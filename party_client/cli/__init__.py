"""The `concordat` command: every group is a module with a click group called `group`.

Commands read arguments and files, call the package's functions and present what these return; they decide
nothing. Groups are found by their entry points (see `main`), so that importing this package imports nothing.
"""
