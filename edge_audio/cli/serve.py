"""`edge-audio serve`."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import socket
import sys
from pathlib import Path

from edge_audio.cli.options import Commands, add_json, add_model, add_threads
from edge_audio.cli.result import print_result
from edge_audio.errors import EdgeAudioError, UsageError
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
    add("--styles", metavar="DIR", type=Path, help="a folder of LoRA adapters to choose from")
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
    add(
        "--wyoming",
        metavar="[ADDRESS:]PORT",
        help="be a voice for Home Assistant there, such as 10200 (default address: 127.0.0.1)",
    )
    add_json(parser)
    add("--log-prompts", action="store_true", help="write prompts to the log")
    add("--quiet", action="store_true", help="log warnings and errors only")


def serve(arguments: argparse.Namespace) -> None:
    """`edge-audio serve`"""
    needs.packages("edge-audio serve", "serve", _SERVE)
    if arguments.wyoming is not None:
        needs.packages("edge-audio serve --wyoming", "wyoming", ("wyoming",))
    from edge_audio.serve import server
    from edge_audio.serve.config import KEY_VARIABLE, LOOPBACK, ServeConfig

    keys = [*arguments.api_key, *filter(None, [os.environ.get(KEY_VARIABLE)])]
    config = ServeConfig(
        model=None if arguments.model is None else Path(arguments.model),
        models=arguments.models,
        styles=arguments.styles,
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
        wyoming=_address(arguments.wyoming),
    )
    for key in config.api_keys:
        if len(key) < _SHORT_KEY:
            _warn(f"a key of {len(key)} characters is soon guessed; use {_SHORT_KEY} or more")
    if not config.is_local and not config.api_keys:
        _warn(f"everybody who reaches {config.host}:{config.port} can make sounds here")
    if config.wyoming is not None and config.wyoming[0] not in LOOPBACK:
        _warn(f"everybody who reaches {config.wyoming[0]}:{config.wyoming[1]} can make sounds here")
    logging.basicConfig(
        level=logging.WARNING if arguments.quiet else logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
    )
    with contextlib.ExitStack() as sockets:
        listening = sockets.enter_context(_bound(config.host, config.port, "--port"))
        wyoming = None
        if config.wyoming is not None:
            wyoming = sockets.enter_context(_bound(*config.wyoming, "--wyoming"))
        running = server.server(config, wyoming)
        address, voice = f"http://{_shown(config.host, listening)}/", None
        if config.wyoming is not None and wyoming is not None:
            voice = _shown(config.wyoming[0], wyoming)
        if arguments.json:
            print_result({"address": address, "wyoming": voice})
        else:
            print(f"edge-audio serves {address}", flush=True)
            if voice is not None:
                print(f"and wyoming at {voice}", flush=True)
        server.run(running, listening)


def _bound(host: str, port: int, flag: str) -> socket.socket:
    """A socket where clients wait; EdgeAudioError if another program has that address."""
    from edge_audio.serve import server

    try:
        return server.bound_at(host, port)
    except OSError as error:
        raise EdgeAudioError(
            f"{host}:{port} cannot be listened on ({error.strerror}); choose another {flag}"
        ) from None


def _shown(host: str, listening: socket.socket) -> str:
    """The address as in a URL."""
    return f"{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"


def _address(given: str | None) -> tuple[str, int] | None:
    """What --wyoming says."""
    if given is None:
        return None
    host, _, port = given.rpartition(":")
    if not (port.isascii() and port.isdigit()):
        raise UsageError(f"--wyoming {given[:40]!r} is no [ADDRESS:]PORT, such as 10200")
    return host.strip("[]") or "127.0.0.1", int(port[:6])


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
