"""TensorFlow without its chatter."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from edge_audio.system import chatter


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Keep what TensorFlow's C++ side prints off the terminal, unless something goes wrong."""
    failed = False
    with chatter.dropped(lambda line: not failed):
        try:
            yield
        except BaseException:
            failed = True
            raise


def import_tensorflow() -> None:
    """Before anything else imports it: no chatter, and float arithmetic that does not depend on
    oneDNN's choices.
    """
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}
    with quiet_stderr():
        import tensorflow

        _ = tensorflow.lite.TFLiteConverter
