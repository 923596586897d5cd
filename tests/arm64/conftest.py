"""These run on emulated CPUs, in minutes: `make test-arm` asks for them."""

import os

collect_ignore_glob = [] if "EDGE_AUDIO_ARM64" in os.environ else ["test_*.py"]
