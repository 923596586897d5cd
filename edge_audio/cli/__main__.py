"""`python -m edge_audio.cli`, where the command `edge-audio` is not on the path."""

import sys

from edge_audio.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
