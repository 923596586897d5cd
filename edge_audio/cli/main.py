"""The command line. Thin: every subcommand calls the library and prints."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from types import FrameType
from typing import TextIO

from edge_audio.errors import EdgeAudioError, EdgeAudioWarning, UsageError, printable

DONE, FAILED, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 done, 1 could not or not as it
    should be, 2 wrong usage, 130 interrupted.
    """
    _print_whatever()
    wants_json = "--json" in (sys.argv[1:] if argv is None else argv)

    def fail(message: str, code: int) -> int:
        return _fail(message, code, wants_json)

    try:
        with _interrupts_kept():
            # here, so that Ctrl-C is answered during these imports as well
            from edge_audio.cli import configuration
            from edge_audio.cli.parser import parser

            with _warnings_on_stderr():
                arguments = parser().parse_args(argv)
                with configuration.in_force(arguments):
                    return arguments.run(arguments) or DONE
    except EdgeAudioError as error:
        return fail(str(error), WRONG_USAGE if isinstance(error, UsageError) else FAILED)
    except KeyboardInterrupt:
        return fail("interrupted", INTERRUPTED)
    except MemoryError:
        return fail("not enough memory for this model; try --precision int8", FAILED)
    except BrokenPipeError:  # whoever reads has read enough, as `head` does
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (until the process ends)
        return DONE
    except (OSError, ImportError) as error:
        if _is_nobody_reading(error):
            return DONE
        return fail(f"{error}; check the installation and the bundle's files", FAILED)


def _print_whatever() -> None:
    """What standard output's encoding lacks is printed as "?": a Windows program that writes to a
    pipe has one of 256 characters.
    """
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="replace")


@contextlib.contextmanager
def _interrupts_kept() -> Iterator[None]:
    """After Ctrl-C, whatever exception comes is a KeyboardInterrupt: while NumPy's C code imports
    other modules it makes an ImportError of one, with a page of advice on broken installations.
    """
    pressed = False

    def interrupt(signum: int, frame: FrameType | None) -> None:
        nonlocal pressed
        pressed = True
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler or not _is_main_thread():
        yield  # the signal is somebody else's
        return
    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    except Exception:
        if pressed:
            raise KeyboardInterrupt from None
        raise
    finally:
        signal.signal(signal.SIGINT, before)


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _is_nobody_reading(error: Exception) -> bool:
    """Whether this is what Windows says of a pipe that nobody reads any more."""
    is_broken = isinstance(error, OSError) and error.errno == errno.EINVAL
    if not (is_broken and os.name == "nt" and getattr(error, "filename", None) is None):
        return False
    sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (until the process ends)
    return True


@contextlib.contextmanager
def _warnings_on_stderr() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("always", EdgeAudioWarning)
        ordinary = warnings.showwarning

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if issubclass(category, EdgeAudioWarning):
                print(f"warning: {printable(str(message))}", file=sys.stderr)
            else:
                ordinary(message, category, filename, lineno, file, line)

        warnings.showwarning = show
        yield


def _fail(message: str, code: int, wants_json: bool) -> int:
    line = " ".join(message.split())
    print(f"error: {line}", file=sys.stderr)
    if wants_json:
        from edge_audio.cli.result import print_error

        print_error(line, code)
    return code


if __name__ == "__main__":
    sys.exit(main())
