"""Settings for all tests: a busy machine must not turn a slow example into a failure."""

from __future__ import annotations

from hypothesis import settings

# No deadline for a single example; pytest-timeout bounds the whole test.
settings.register_profile("repository", deadline=None, print_blob=True)
settings.load_profile("repository")
