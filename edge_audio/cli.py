"""The command line. Thin: every subcommand calls the library and prints."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import re
import shlex
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

from . import __version__, cache, device
from .bundle import Bundle, Manifest
from .clip import Clip, check_writable
from .errors import EdgeAudioError, EdgeAudioWarning, UsageError
from .graph import check_threads
from .pipeline import Pipeline, Progress, default_model
from .play import Playback
from .request import Request
from .samplers import SAMPLERS

DONE, FAILED, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130
_BAR = 30


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit code: 0 done, 1 could not, 2 wrong usage, 130
    interrupted.
    """
    try:
        arguments = _parser().parse_args(argv)
        with _warnings_on_stderr():
            arguments.run(arguments)
    except EdgeAudioError as error:
        return _fail(str(error), WRONG_USAGE if isinstance(error, UsageError) else FAILED)
    except _Found:
        return FAILED
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)
    except MemoryError:
        return _fail("not enough memory for this model; try --precision int8", FAILED)
    except (OSError, ImportError) as error:
        return _fail(f"{error}; check the installation and the bundle's files", FAILED)
    return DONE


def generate(arguments: argparse.Namespace) -> None:
    """`edge-audio generate`"""
    out = _default_output(arguments.prompt) if arguments.output is None else Path(arguments.output)
    check_writable(out)
    pipeline = Pipeline.load(
        arguments.model,
        arguments.precision,
        arguments.threads,
        half=None if arguments.fp16 is None else arguments.fp16 == "on",
    )
    manifest = pipeline.bundle.manifest
    playback = Playback(manifest.sample_rate, manifest.channels) if arguments.play else None
    bar = _Bar(sys.stderr.isatty() and not (arguments.quiet or arguments.json))
    try:
        with bar:
            clip = pipeline.generate(
                arguments.prompt,
                seconds=arguments.seconds,
                seed=arguments.seed,
                steps=arguments.steps,
                sampler=arguments.sampler,
                cfg_scale=arguments.cfg,
                negative=arguments.negative,
                ids=arguments.ids,
                fit_length=arguments.fit_length,
                progress=bar,
                on_block=playback,
            )
        gain = clip.save(out)
        if arguments.json:
            print(json.dumps(_report(clip, out, gain)))
        elif not arguments.quiet:
            print(_summary(clip, out))
        if playback:
            playback.finish()
    except BaseException:
        if playback:
            playback.stop()
        raise


def info(arguments: argparse.Namespace) -> None:
    """`edge-audio info`"""
    bundle = Bundle.open(default_model() if arguments.model is None else arguments.model)
    if arguments.prompts:
        print(
            json.dumps([dataclasses.asdict(family) for family in bundle.prompts])
            if arguments.json
            else "\n".join(_prompt_lines(bundle))
        )
        return
    here = device.describe()
    advice = device.recommended_precision(here)
    found = {
        "folder": str(bundle.folder),
        "sha256": bundle.sha256,
        "manifest": dataclasses.asdict(bundle.manifest),
        "device": dataclasses.asdict(here),
        "chosen": {
            "precision": bundle.choose(None, advice.preferred),
            "reason": advice.reason,
            "half": device.recommended_half(here),
            "threads": device.recommended_threads(here),
        },
        "cache": {"folder": str(cache.folder()), "bytes": cache.size(), "why_not": cache.why_not()},
    }
    print(
        json.dumps(found)
        if arguments.json
        else "\n".join(_info_lines(bundle, here, found["chosen"]))
    )


def bench(arguments: argparse.Namespace) -> None:
    """`edge-audio bench`"""
    from .evaluate import bench as module

    if arguments.repeats < 1:
        raise UsageError(f"repeats {arguments.repeats} measure nothing; use 1 or more")
    for threads in arguments.threads or ():
        check_threads(threads)
    if arguments.output is not None:
        _check_text_file(Path(arguments.output))
    request = Request(
        arguments.prompt,
        seconds=arguments.seconds,
        steps=arguments.steps,
        fit_length=arguments.fit_length,
    )
    report = module.bench(
        arguments.model,
        _specs(arguments.precision),
        arguments.threads,
        request,
        arguments.repeats,
        say=lambda line: None if arguments.quiet else print(f"measuring {line}", file=sys.stderr),
    )
    text = module.formatted(report, arguments.format)
    if arguments.output is None:
        print(text, end="")
    else:
        Path(arguments.output).write_text(text)


def compare(arguments: argparse.Namespace) -> None:
    """`edge-audio compare`"""
    from .evaluate import needs

    needs.packages("compare", "eval", needs.EVAL)
    from .evaluate import report
    from .evaluate.compare import compare as measure
    from .evaluate.prompts import read

    out = Path(arguments.out)
    needs.new_folder(out)
    if arguments.threads is not None:
        check_threads(arguments.threads)
    if arguments.repeats < 0:
        raise UsageError(
            f"repeats {arguments.repeats} measure nothing; use 1 or more, or 0 to leave time and"
            " memory out"
        )
    with _Line(sys.stderr.isatty() and not arguments.quiet) as say:
        found = measure(
            arguments.models,
            _specs(arguments.precisions),
            read(Path(arguments.prompts)) if arguments.prompts else None,
            arguments.seeds,
            arguments.threads,
            arguments.repeats,
            say,
            seconds=arguments.seconds,
            steps=arguments.steps,
            sampler=arguments.sampler,
            cfg_scale=arguments.cfg,
        )
    report.write(found, out, shlex.join(["edge-audio", *sys.argv[1:]]))
    if not arguments.quiet:
        print(report.terminal(found))
        print(
            f"\n{out / report.PAGE}: open it in a browser to see and to hear; {report.NUMBERS}"
            " beside it has every number"
        )


def diagnose(arguments: argparse.Namespace) -> None:
    """`edge-audio diagnose`"""
    from .evaluate import needs

    needs.packages("diagnose", "eval", needs.EVAL)
    from .evaluate import diagnose as engine
    from .evaluate.prompts import Prompt

    out = None if arguments.listen is None else Path(arguments.listen)
    if out is not None:
        needs.new_folder(out)
    if arguments.threads is not None:
        check_threads(arguments.threads)
    given = [Prompt(text) for text in arguments.prompt or ()]
    settings = {
        "seconds": arguments.seconds,
        "steps": arguments.steps,
        "sampler": arguments.sampler,
        "cfg_scale": arguments.cfg,
    }
    quiet = arguments.quiet or arguments.json
    with (
        _Line(sys.stderr.isatty() and not quiet) as say,
        engine.load(arguments.model, arguments.precision, arguments.threads) as pipe,
    ):
        if arguments.checkpoint is not None:
            needs.packages("diagnose --checkpoint", "export", needs.EXPORT)
            settings["checkpoint"] = Path(arguments.checkpoint)
        report = engine.diagnose(
            pipe, given, arguments.seeds, say=say, first_seed=arguments.seed, **settings
        )
        heard = None
        if out is not None:
            from .evaluate import listen

            heard = listen.listen(pipe, given[0].text if given else None, arguments.seed, out, say)
    if arguments.json:
        print(json.dumps(report.as_json() | ({"listen": heard} if heard else {})))
    elif not arguments.quiet:
        print(engine.table(report) + (f"\n\n{listen.table(heard)}" if heard else ""))
    if report.failed:
        raise _Found


class _Found(Exception):
    """The command did its work, and what it looked at is not as it should be."""


def _specs(given: list[str] | None) -> list[str]:
    """`--precisions f32,int8` or `--precisions dit=int8,decoder=f32`, which may be given again."""
    return [
        spec.strip()
        for text in given or ()
        for spec in ([text] if "=" in text else text.split(","))
        if spec.strip()
    ]


def _check_text_file(path: Path) -> None:
    existed = path.exists()
    try:
        path.open("a").close()
    except OSError as error:
        raise EdgeAudioError(
            f"{path} cannot be written ({error.strerror}); choose another file"
        ) from None
    if not existed:
        path.unlink()


def show_cache(arguments: argparse.Namespace) -> None:
    """`edge-audio cache`"""
    if arguments.purge:
        print(f"{cache.folder() or 'no folder'}: {cache.purge() / 1e6:.1f} MB freed")
    else:
        print(_cache_line())


def _cache_line() -> str:
    reason = cache.why_not()
    if reason:
        return f"not kept: {reason}"
    return f"{cache.folder()}, {cache.size() / 1e6:.1f} MB (edge-audio cache --purge empties it)"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:
        raise UsageError(f"{message}; see {self.prog} --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="edge-audio", description="Text to sound, offline, on small computers.")
    parser.add_argument("--version", action="version", version=f"edge-audio {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    make = commands.add_parser(
        "generate",
        help="make a sound from a prompt",
        description="Make a sound from a prompt and write it to a file.",
    )
    make.set_defaults(run=generate)
    make.add_argument(
        "prompt", metavar="PROMPT", nargs="?", help='what to hear; "" for anything at all'
    )
    make.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help=".wav, .flac or .ogg (default: named after the prompt)",
    )
    _add_model(make)
    make.add_argument(
        "--seconds", metavar="S", type=float, help="duration (default: the model's full length)"
    )
    make.add_argument(
        "--seed", metavar="N", type=int, help="the same seed makes the same sound (default: random)"
    )
    make.add_argument(
        "--steps", metavar="N", type=int, help="sampling steps (default: the model's)"
    )
    make.add_argument(
        "--sampler", metavar="NAME", help=f"{', '.join(SAMPLERS)} (default: the model's)"
    )
    make.add_argument(
        "--cfg", metavar="S", type=float, help="guidance scale, 1 for none (default: the model's)"
    )
    make.add_argument(
        "--negative", metavar="PROMPT", help="what not to hear; needs a guidance scale above 1"
    )
    make.add_argument("--ids", metavar="1,2,3", type=_ids, help="token ids in place of PROMPT")
    make.add_argument(
        "--fit-length",
        action="store_true",
        help=(
            "the shortest latents that hold the seconds: faster, where the model has several"
            " lengths"
        ),
    )
    make.add_argument(
        "--precision",
        metavar="P",
        help="int8, or dit=int8,decoder=f16 (default: what suits this CPU)",
    )
    make.add_argument("--threads", metavar="N", type=int, help="default: what suits this CPU")
    make.add_argument(
        "--fp16",
        choices=("on", "off"),
        help="a float decoder computes in float16 (default: where the CPU can)",
    )
    make.add_argument("--play", action="store_true", help="play it while it is made")
    make.add_argument("--json", action="store_true", help="print one JSON object")
    make.add_argument("--quiet", action="store_true", help="print nothing but warnings and errors")

    measure = commands.add_parser(
        "bench",
        help="what a clip costs on this computer",
        description=(
            "What a clip costs on this computer: time of every stage, loading, memory, by precision"
            " and number of threads. Every row is measured in processes of its own; let the"
            " computer rest meanwhile."
        ),
    )
    measure.set_defaults(run=bench)
    measure.add_argument(
        "prompt", metavar="PROMPT", nargs="?", help="what to make (default: anything)"
    )
    _add_model(measure)
    measure.add_argument(
        "--precision",
        metavar="P",
        action="append",
        help=(
            "f32,int8 or dit=int8,decoder=f32; may be given again (default: all that the model has)"
        ),
    )
    measure.add_argument(
        "--threads",
        metavar="1,2",
        type=_ids,
        help="numbers of threads (default: what suits this CPU)",
    )
    measure.add_argument(
        "--seconds", metavar="S", type=float, help="duration (default: the model's full length)"
    )
    measure.add_argument(
        "--steps", metavar="N", type=int, help="sampling steps (default: the model's)"
    )
    measure.add_argument("--fit-length", action="store_true", help="as in generate")
    measure.add_argument(
        "--repeats", metavar="N", type=int, default=5, help="clips a row (default: 5)"
    )
    measure.add_argument(
        "--format",
        choices=("markdown", "csv", "json"),
        default="markdown",
        help="default: markdown",
    )
    measure.add_argument(
        "-o", "--output", metavar="FILE", help="write the table there rather than print it"
    )
    measure.add_argument(
        "--quiet", action="store_true", help="print nothing but the table, warnings and errors"
    )

    beside = commands.add_parser(
        "compare",
        help="int8 against float: numbers, pictures, and a blind test",
        description=(
            "What smaller precisions cost in sound, and what they save: every stage on the same"
            " noise and the same inputs. Writes a page to read and listen to, with a blind test,"
            " and all numbers as JSON."
        ),
    )
    beside.set_defaults(run=compare)
    beside.add_argument(
        "models",
        metavar="MODEL",
        nargs="*",
        help="folder of a bundle, or several of one checkpoint (default: the pocket model)",
    )
    beside.add_argument(
        "--precisions",
        metavar="P,P",
        action="append",
        help=(
            "the reference first: f32,int8; or dit=int8,decoder=f32, given again for each (default:"
            " all)"
        ),
    )
    beside.add_argument(
        "--prompts",
        metavar="FILE",
        help="a prompt a line (default: those that the model brings, or four)",
    )
    beside.add_argument(
        "--seeds", metavar="N", type=int, default=1, help="clips a prompt (default: 1)"
    )
    beside.add_argument(
        "--out", metavar="DIR", required=True, help="a new folder for report.html and report.json"
    )
    beside.add_argument(
        "--seconds",
        metavar="S",
        type=float,
        help="duration (default: the prompt's, or the model's full length)",
    )
    beside.add_argument(
        "--steps", metavar="N", type=int, help="sampling steps (default: the model's)"
    )
    beside.add_argument("--sampler", metavar="NAME", help="default: the model's")
    beside.add_argument(
        "--cfg", metavar="S", type=float, help="guidance scale (default: the model's)"
    )
    beside.add_argument("--threads", metavar="N", type=int, help="default: what suits this CPU")
    beside.add_argument(
        "--repeats",
        metavar="N",
        type=int,
        default=3,
        help="clips that time and memory are measured with, 0 to leave them out (default: 3)",
    )
    beside.add_argument(
        "--quiet", action="store_true", help="print nothing but warnings and errors"
    )

    find = commands.add_parser(
        "diagnose",
        help="which stage of a model is wrong",
        description=(
            "Looks for the stage that is wrong when a model gives noise, or the same for every"
            " prompt: text, conditioning, transformer, guidance, decoder, weights. Exit code 1 if"
            " something fails. docs/diagnose.md explains every row."
        ),
    )
    find.set_defaults(run=diagnose)
    find.add_argument(
        "model", metavar="MODEL", nargs="?", help="folder of a bundle (default: the pocket model)"
    )
    find.add_argument(
        "--checkpoint",
        metavar="DIR",
        help=(
            "what the bundle was exported from: compare every stage with it, and audit "
            "the weights (needs the exporter)"
        ),
    )
    find.add_argument(
        "--listen",
        metavar="DIR",
        help="a new folder for one prompt in six configurations: sounds, spectrograms, levels",
    )
    find.add_argument(
        "--prompt",
        metavar="PROMPT",
        action="append",
        help="give two that should sound different (default: such)",
    )
    find.add_argument("--seed", metavar="N", type=int, default=1, help="the first one (default: 1)")
    find.add_argument(
        "--seeds", metavar="N", type=int, default=2, help="clips a prompt (default: 2)"
    )
    find.add_argument(
        "--seconds", metavar="S", type=float, help="duration (default: the model's full length)"
    )
    find.add_argument(
        "--steps", metavar="N", type=int, help="sampling steps (default: the model's)"
    )
    find.add_argument("--sampler", metavar="NAME", help="default: the model's")
    find.add_argument(
        "--cfg", metavar="S", type=float, help="guidance scale (default: the model's)"
    )
    find.add_argument(
        "--precision", metavar="P", help="as in generate; f32 shows faults that int8 noise hides"
    )
    find.add_argument("--threads", metavar="N", type=int, help="default: what suits this CPU")
    find.add_argument("--json", action="store_true", help="print one JSON object")
    find.add_argument("--quiet", action="store_true", help="print nothing but warnings and errors")

    keep = commands.add_parser(
        "cache",
        help="what is kept between runs, and how to empty it",
        description=(
            "Where weights are kept as the CPU wants them, so that big models load at once."
        ),
    )
    keep.set_defaults(run=show_cache)
    keep.add_argument(
        "--purge", action="store_true", help="delete all of it; it is made again when needed"
    )

    tell = commands.add_parser(
        "info",
        help="what is in a model, and how this computer would run it",
        description="What is in a model, and how this computer would run it.",
    )
    tell.set_defaults(run=info)
    _add_model(tell)
    tell.add_argument(
        "--prompts", action="store_true", help="what the model can be asked for, with examples"
    )
    tell.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", metavar="DIR", help="folder of a bundle (default: the pocket model)"
    )


def _ids(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text[:40]!r} is no list of numbers like 118,7,54,1"
        ) from None


def _default_output(prompt: str | None) -> Path:
    """The prompt as a file name in the current folder; a number is added rather than an existing
    file replaced.
    """
    slug = "-".join(re.findall(r"\w+", (prompt or "").lower()))[:48].strip("-_") or "clip"
    names = (f"{slug}.wav" if n == 1 else f"{slug}-{n}.wav" for n in range(1, 1_000_000))
    return next(path for path in map(Path, names) if not path.exists())


def _summary(clip: Clip, out: Path) -> str:
    stages = ", ".join(f"{name} {seconds:.2f}" for name, seconds in _stages(clip).items())
    total = sum(clip.timings.values())
    return (
        f"{out}: {clip.seconds:.2f} s of audio in {total:.2f} s ({stages}),"
        f" {clip.seconds / total:.1f} times real time, seed {clip.recipe['seed']}"
    )


def _report(clip: Clip, out: Path, gain: float) -> dict:
    total = sum(clip.timings.values())
    return {
        "file": str(out),
        "seconds": clip.seconds,
        "frames": len(clip.samples),
        "sample_rate": clip.sample_rate,
        "channels": clip.samples.shape[1],
        "total": total,
        "times_real_time": clip.seconds / total,
        "timings": clip.timings,
        "levels": dataclasses.asdict(clip.levels()),
        "recipe": {**clip.recipe, "gain": gain},
    }


def _stages(clip: Clip) -> dict[str, float]:
    """Seconds a stage, loading included."""
    totals: dict[str, float] = {}
    for name, seconds in clip.timings.items():
        stage = name.rpartition("_")[0]
        totals[stage] = totals.get(stage, 0.0) + seconds
    return totals


def _info_lines(bundle: Bundle, here: device.Device, chosen: dict) -> Iterator[str]:
    yield from _model_lines(bundle.manifest, bundle)
    yield "this computer"
    memory = f", {here.memory / 2**30:.1f} GiB of memory" if here.memory else ""
    yield f"  {here.model or here.architecture}, {here.architecture}{memory}"
    yield f"  features   {' '.join(here.features) or 'none known'}"
    yield (
        "  precision "
        f" {', '.join(f'{name}={value}' for name, value in chosen['precision'].items())}"
    )
    yield f"             {chosen['reason']}"
    half = "the CPU computes in fp16: a float decoder does" if chosen["half"] else "no"
    yield f"  fp16       {half}"
    yield f"  threads    {chosen['threads']}, of {here.cores} cores of the fast kind"
    yield f"  cache      {_cache_line()}"


def _prompt_lines(bundle: Bundle) -> Iterator[str]:
    if not bundle.prompts:
        yield (
            f"{bundle.manifest.name} brings no list of what it knows; see the card of the model it"
            " was made of"
        )
    width = max((len(family.name) for family in bundle.prompts), default=0)
    for family in bundle.prompts:
        yield f"{family.name:{width}}  {' · '.join(family.prompts)}"


def _model_lines(manifest: Manifest, bundle: Bundle) -> Iterator[str]:
    latent, best = manifest.latent, manifest.defaults
    yield f"{manifest.name} in {bundle.folder}"
    yield f"  licence    {manifest.license}"
    yield (
        f"  audio      up to {manifest.max_seconds:.2f} s, {manifest.sample_rate} Hz,"
        f" {manifest.channels} channels"
    )
    lengths = " or ".join(map(str, latent.lengths))
    yield f"  latents    {lengths} x {latent.channels}, {latent.downsampling} samples each"
    text = "a prompt" if manifest.prompt.tokenizer else "token ids only (no tokenizer)"
    yield f"  prompt     {text}, up to {manifest.prompt.max_length} tokens"
    yield f"  seconds    {manifest.seconds.min:g} to {manifest.seconds.max:g}"
    yield (
        f"  made for   {best.sampler}, {best.steps} steps, cfg {best.cfg_scale:g}"
        f" ({manifest.objective})"
    )
    for component, entries in manifest.graphs.items():
        for precision in bundle.precisions(component):
            entry = entries[precision]
            worst: dict[
                str, float
            ] = {}  # of each signature; `project` has two outputs for every block
            for name, value in entry.fidelity.items():
                signature = name.partition(".")[0]
                worst[signature] = min(value, worst.get(signature, value))
            fidelity = ", ".join(
                f"{signature} {value:.1f} dB" for signature, value in worst.items()
            )
            yield f"  {component:12} {precision:5} {entry.bytes / 1e6:9.2f} MB  {fidelity}".rstrip()


class _Bar:
    """A progress bar on stderr for the steps of each stage; silent when not `shown`."""

    def __init__(self, shown: bool):
        self.shown = shown

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *exception) -> None:
        self._write("\r\x1b[K")

    def __call__(self, progress: Progress) -> None:
        done = _BAR * progress.step // progress.steps
        self._write(
            f"\r\x1b[K{progress.stage:9} [{'#' * done}{'.' * (_BAR - done)}]"
            f" {progress.step}/{progress.steps}"
        )

    def _write(self, text: str) -> None:
        if self.shown:
            print(text, end="", file=sys.stderr, flush=True)


class _Line:
    """One line on stderr that says what is being done, replaced by the next; silent when not
    `shown`.
    """

    def __init__(self, shown: bool):
        self.shown = shown

    def __enter__(self) -> _Line:
        return self

    def __exit__(self, *exception) -> None:
        self("")

    def __call__(self, text: str) -> None:
        if self.shown:
            print(f"\r\x1b[K{text[:100]}", end="", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _warnings_on_stderr() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("always", EdgeAudioWarning)
        ordinary = warnings.showwarning

        def show(message, category, *where) -> None:
            if issubclass(category, EdgeAudioWarning):
                print(f"warning: {message}", file=sys.stderr)
            else:
                ordinary(message, category, *where)

        warnings.showwarning = show
        yield


def _fail(message: str, code: int) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
