"""`edge-audio serve`."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import warnings
from pathlib import Path

from edge_audio.cli.options import Commands, add_model, add_threads
from edge_audio.errors import EdgeAudioError, EdgeAudioWarning, UsageError
from edge_audio.evaluate import needs
from edge_audio.model.model import ALL, FIT, FREE

_SERVE = ("fastapi", "uvicorn", "httptools", "python_multipart", "prometheus_client")
#: characters below which a key is guessed
_SHORT_KEY = 16


def add_serve(commands: Commands) -> None:
    """Add the command to those of the parser."""
    parser = commands.add_parser(
        "serve",
        help="a studio in the browser, and an HTTP API",
        description="A studio in the browser, and an HTTP API (docs/serve.md).",
    )
    parser.set_defaults(run=serve)
    add_model(parser)
    add = parser.add_argument
    add("--models", metavar="DIR", type=Path, help="a folder of more bundles to choose from")
    add("--host", default="127.0.0.1", help="address to listen on (default: this computer only)")
    add("--port", type=int, default=8080, help="0 for any free one (default: %(default)s)")
    add(
        "--api-key",
        metavar="KEY",
        action="append",
        default=[],
        help="what clients must show; again for more of them (also $EDGE_AUDIO_API_KEY)",
    )
    add("--no-auth", action="store_true", help="let in everybody who reaches --host")
    add(
        "--allow-host",
        metavar="NAME",
        action="append",
        default=[],
        help="a name that clients call this server by, besides addresses and the computer's own",
    )
    add(
        "--cors",
        metavar="ORIGIN",
        action="append",
        default=[],
        help="let pages of this origin in, such as https://app.example",
    )
    add(
        "--proxy",
        metavar="ADDRESS",
        action="append",
        default=[],
        help="a proxy whose X-Forwarded-For is believed",
    )
    add("--max-waiting", metavar="N", type=int, default=16, help="jobs that wait (default: 16)")
    add(
        "--memory-budget",
        metavar="MB",
        default=FIT,
        help="of weights that stay loaded: fit, all, free or megabytes (default: fit)",
    )
    add_threads(parser)
    add("--precision", metavar="P", help="int8, or dit=int8,decoder=f16 (default: what suits)")
    add(
        "--idle-seconds",
        metavar="S",
        type=float,
        default=600.0,
        help="after so long without a job a model leaves memory (default: 600)",
    )
    add(
        "--drain-seconds",
        metavar="S",
        type=float,
        default=10.0,
        help="jobs have so long to end when the server is stopped (default: 10)",
    )
    add("--data", metavar="DIR", type=Path, help="where the history is kept")
    add("--history-jobs", metavar="N", type=int, default=1000, help="jobs kept (default: 1000)")
    add("--history-mb", metavar="MB", type=int, default=1024, help="of clips (default: 1024)")
    add("--upload-mb", metavar="MB", type=int, default=32, help="of a sound file (default: 32)")
    add("--max-steps", metavar="N", type=int, default=250, help="of a clip (default: 250)")
    add("--max-seconds", metavar="S", type=float, default=300.0, help="of a clip (default: 300)")
    add("--replica", metavar="NAME", default="", help="begins job ids, for several servers")
    add("--log-prompts", action="store_true", help="write prompts to the log")
    add("--quiet", action="store_true", help="log warnings and errors only")


def serve(arguments: argparse.Namespace) -> None:
    """`edge-audio serve`"""
    needs.packages("edge-audio serve", "serve", _SERVE)
    from edge_audio.serve import server
    from edge_audio.serve.config import KEY_VARIABLE, ServeConfig

    keys = [*arguments.api_key, *filter(None, [os.environ.get(KEY_VARIABLE)])]
    config = ServeConfig(
        model=None if arguments.model is None else Path(arguments.model),
        models=arguments.models,
        host=arguments.host,
        port=arguments.port,
        api_keys=tuple(dict.fromkeys(keys)),
        no_auth=arguments.no_auth,
        allowed_hosts=tuple(arguments.allow_host),
        cors=tuple(arguments.cors),
        proxies=tuple(arguments.proxy),
        max_waiting=arguments.max_waiting,
        memory=_budget(arguments.memory_budget),
        threads=arguments.threads,
        precision=arguments.precision,
        idle_seconds=arguments.idle_seconds,
        drain_seconds=arguments.drain_seconds,
        data=arguments.data,
        history_jobs=arguments.history_jobs,
        history_bytes=arguments.history_mb << 20,
        upload_bytes=arguments.upload_mb << 20,
        max_steps=arguments.max_steps,
        max_seconds=arguments.max_seconds,
        replica=arguments.replica,
        log_prompts=arguments.log_prompts,
    )
    for key in config.api_keys:
        if len(key) < _SHORT_KEY:
            _warn(f"a key of {len(key)} characters is soon guessed; use {_SHORT_KEY} or more")
    if not config.is_local and not config.api_keys:
        _warn(f"everybody who reaches {config.host}:{config.port} can make sounds here")
    logging.basicConfig(
        level=logging.WARNING if arguments.quiet else logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
    )
    # a clip that was turned down says so in its recipe
    warnings.filterwarnings("ignore", "peak ", EdgeAudioWarning)
    try:
        listening = server.bound(config)
    except OSError as error:
        raise EdgeAudioError(
            f"{config.host}:{config.port} cannot be listened on ({error.strerror}); choose another"
            " --port"
        ) from None
    with listening:
        running = server.server(config)
        shown = f"[{config.host}]" if ":" in config.host else config.host
        print(f"edge-audio serves http://{shown}:{listening.getsockname()[1]}/", flush=True)
        server.run(running, listening)


def _budget(given: str) -> str | int:
    """What --memory-budget says, in bytes if it is a number."""
    if given in (FREE, FIT, ALL):
        return given
    try:
        return round(float(given) * 1e6)
    except (ValueError, OverflowError):
        raise UsageError(
            f"--memory-budget {given[:40]!r} is none; use fit, all, free or megabytes"
        ) from None


def _warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr)
