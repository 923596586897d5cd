"""Environments for the processes that tests start."""

import os
from collections.abc import Mapping


def uncounted(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """An environment in which a process is a user's, also while `make coverage` counts lines: for
    tests of what ends a process. Counting imports modules before it, and writes a file at its end.
    """
    return {name: value for name, value in environment.items() if not name.startswith("COVERAGE_")}
