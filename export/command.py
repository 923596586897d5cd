"""`edge-audio export CHECKPOINT_DIR OUT_DIR`, in a clone also `python -m export`: an
official-format checkpoint becomes a bundle.

Needs no TensorFlow to be imported, so that it can say that the extra is missing.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, TypeAlias

from edge_audio.bundle.manifest import COMPONENTS, GENERATING
from edge_audio.errors import EdgeAudioError, UsageError
from edge_audio.evaluate import needs
from edge_audio.lora.reading import argument
from edge_audio.sampling.samplers import SAMPLERS

SYNTH = "synth"
_JSON = "print one JSON object, of an error too; what is being done goes to standard error"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see {self.prog} --help")


Parse: TypeAlias = Callable[[argparse.ArgumentParser, list[str]], argparse.Namespace]


def run(arguments: list[str], prog: str, parse: Parse = argparse.ArgumentParser.parse_args) -> None:
    """Do what the command line `prog` `arguments` asks for; EdgeAudioError if that cannot be.

    parse: may have other defaults.
    """
    if arguments[:1] == [SYNTH]:
        options = _synth_parser(f"{prog} {SYNTH}").parse_args(arguments[1:])
    else:
        options = parse(_parser(prog), arguments)
    needs.packages("export", "export", needs.EXPORT)
    try:
        options.run(options, prog)
    except ImportError as error:
        raise EdgeAudioError(f"{error}; run pip install 'edge-audio[export]'") from error
    except OSError as error:
        raise EdgeAudioError(f"{error}; choose another folder or free some space") from error
    except MemoryError:
        raise EdgeAudioError(
            "not enough memory to export this model; close other programs or use a larger machine"
        ) from None


def main(arguments: list[str] | None = None, prog: str = "python -m export") -> int:
    """Exit code 0, or after one line on stderr 1, 2 for wrong usage, 130 if interrupted."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        run(given, prog)
    except EdgeAudioError as error:
        return _fail(str(error), 2 if isinstance(error, UsageError) else 1, "--json" in given)
    except KeyboardInterrupt:
        return _fail("interrupted; an older bundle is as it was", 130, "--json" in given)
    return 0


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=prog,
        description="An official-format checkpoint becomes a bundle.",
        epilog=(
            f"{prog} {SYNTH} --help: a checkpoint of official shape with random weights, for"
            " measuring"
        ),
    )
    parser.set_defaults(run=_export)
    parser.add_argument(
        "checkpoint",
        type=Path,
        metavar="CHECKPOINT_DIR",
        help=(
            "folder with model_config.json, model.safetensors (or a .ckpt) and its text encoder's"
            " folder"
        ),
    )
    parser.add_argument(
        "out",
        type=Path,
        metavar="OUT_DIR",
        help="folder of the bundle; an older bundle there is replaced",
    )
    parser.add_argument(
        "--precision",
        default="f32,f16,int8",
        metavar="LIST",
        help=(
            "of f32, f16, int8, int4 and mixed, which is measured layer by layer (default:"
            " %(default)s)"
        ),
    )
    parser.add_argument(
        "--target-snr",
        type=float,
        default=30.0,
        metavar="DB",
        help=(
            "what mixed must reach in v on every recorded step; 5 dB more before and after the"
            " transformer (default: %(default)g)"
        ),
    )
    parser.add_argument(
        "--prompts",
        type=Path,
        metavar="FILE",
        help="what mixed is measured with, a prompt a line (default: four)",
    )
    parser.add_argument(
        "--recipe",
        type=Path,
        metavar="FILE",
        help=(
            "mixed as another export chose it: a NAME.mixed.json, or a bundle for all three;"
            " nothing is searched"
        ),
    )
    parser.add_argument(
        "--lora",
        type=argument,
        action="append",
        default=[],
        metavar="FILE[=STRENGTH]",
        help=(
            "merge a style into the weights: a .safetensors adapter, or a folder"
            " of PEFT; 1 is what it was trained at, and several act one after the other (default"
            " strength: 1)"
        ),
    )
    parser.add_argument(
        "--checks",
        type=Path,
        metavar="FILE.json",
        help="prompts with family and attributes, kept in the bundle for edge-audio compare",
    )
    parser.add_argument(
        "--latent-lengths",
        type=_lengths,
        default=(),
        metavar="LIST",
        help=(
            "shorter latents to serve as well, such as 64,128 (generate --fit-length); they share"
            " the weights. Of Stable Audio 3, which serves any length: the most that it shall make"
        ),
    )
    parser.add_argument(
        "--fit-length",
        action="store_true",
        help="make clips on the shortest of these that holds them unless told otherwise: for models"
        " that were trained so",
    )
    parser.add_argument(
        "--without-encoder",
        action="store_true",
        help="leave out the encoder, which only audio-to-audio needs",
    )
    parser.add_argument(
        "--tokenizer", type=Path, metavar="FILE", help="SentencePiece model, if the folder has none"
    )
    parser.add_argument("--name", help="name of the model (default: name of OUT_DIR)")
    parser.add_argument(
        "--license", default="see the source checkpoint", help="licence, as the manifest states it"
    )
    parser.add_argument(
        "--tile",
        type=int,
        metavar="N",
        help="latents that the decoder makes audio of at a time (default: 8 or 16, by family)",
    )
    parser.add_argument("--sampler", choices=tuple(SAMPLERS), help="default of the bundle")
    parser.add_argument("--steps", type=int, help="default of the bundle")
    parser.add_argument("--cfg", type=float, help="default guidance scale of the bundle")
    parser.add_argument("--json", action="store_true", help=_JSON)
    return parser


def _synth_parser(prog: str) -> argparse.ArgumentParser:
    parser = _Parser(
        prog=prog,
        description=(
            "Write a checkpoint of official names, shapes and configuration with random,"
            " well-scaled weights. It makes noise; it is for measuring memory, speed and parity"
            " where the real weights are not at hand."
        ),
    )
    parser.set_defaults(run=_synth)
    parser.add_argument("out", type=Path, metavar="OUT_DIR", help="a new folder")
    parser.add_argument(
        "--preset",
        default="sao-small",
        help="sao-small (stable-audio-open-small, default) or sa3-small (stable-audio-3-small)",
    )
    parser.add_argument(
        "--dtype",
        choices=("f32", "f16"),
        default="f32",
        help="type of the stored weights (default: f32)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="the same seed makes the same weights (default: 0)"
    )
    parser.add_argument("--json", action="store_true", help=_JSON)
    return parser


def _lengths(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of numbers like 64,128") from None


def _export(options: argparse.Namespace, prog: str) -> None:
    from .quiet import import_tensorflow

    import_tensorflow()
    from edge_audio.evaluate.bench import IDS
    from edge_audio.evaluate.prompts import from_json

    from .bundle import Options, export

    manifest = export(
        options.checkpoint,
        options.out,
        Options(
            precisions=tuple(p.strip() for p in options.precision.split(",") if p.strip()),
            components=GENERATING if options.without_encoder else COMPONENTS,
            tokenizer=options.tokenizer,
            name=options.name,
            license=options.license,
            tile=options.tile,
            sampler=options.sampler,
            steps=options.steps,
            cfg_scale=options.cfg,
            latent_lengths=options.latent_lengths,
            fit_length=options.fit_length,
            target_snr=options.target_snr,
            prompts=options.prompts,
            recipe=options.recipe,
            checks=from_json(options.checks) if options.checks else (),
            adapters=tuple(options.lora),
        ),
        say=_say_beside if options.json else _say,
    )
    total = sum(
        entry.bytes for precisions in manifest.graphs.values() for entry in precisions.values()
    )
    if options.json:
        graphs = {name: list(entries) for name, entries in manifest.graphs.items()}
        found = {"bundle": str(options.out), "name": manifest.name, "bytes": total}
        print(json.dumps(found | {"graphs": graphs}))
        return
    what = '"..."' if manifest.prompt.tokenizer else f"--ids {','.join(map(str, IDS))}"
    print(
        f"{options.out}: {total / 1e6:.1f} MB of graphs; next: edge-audio generate {what} --model"
        f" {shlex.quote(str(options.out))}"
    )


def _synth(options: argparse.Namespace, prog: str) -> None:
    from . import synth

    say = _say_beside if options.json else _say
    synth.write(options.preset, options.out, options.dtype, options.seed, say=say)
    if options.json:
        print(json.dumps({"checkpoint": str(options.out)}))
        return
    print(f"{options.out}: random weights; next: {prog} {options.out} BUNDLE_DIR")


def _fail(message: str, code: int, wants_json: bool) -> int:
    line = " ".join(message.split())
    print(f"error: {line}", file=sys.stderr)
    if wants_json:
        print(json.dumps({"error": line, "exit_code": code}))
    return code


def _say_beside(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _say(line: str) -> None:
    print(line, file=sys.stderr if line.startswith("warning:") else sys.stdout, flush=True)
