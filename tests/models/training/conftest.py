"""These tests need PyTorch: `make test-train` has it, `make test` leaves them out."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("torch") else ["test_*.py"]
