"""`python -m export CHECKPOINT_DIR OUT_DIR`: an official-format checkpoint becomes a bundle."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from edge_audio.bundle.store import COMPONENTS, GENERATING
from edge_audio.errors import EdgeAudioError


def parse_arguments(arguments: list[str]) -> argparse.Namespace:
    if arguments[:1] == ["synth"]:
        return _synth_parser().parse_args(arguments[1:])
    parser = argparse.ArgumentParser(
        prog="python -m export",
        description=__doc__,
        epilog=(
            "python -m export synth --help: a checkpoint of official shape with random weights, for"
            " measuring"
        ),
    )
    parser.set_defaults(run=_export)
    parser.add_argument(
        "checkpoint",
        type=Path,
        metavar="CHECKPOINT_DIR",
        help="folder with model_config.json, model.safetensors (or a .ckpt) and t5/",
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
            " the weights"
        ),
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
        default=8,
        metavar="N",
        help="latents per tile of the decoder's tail (default: 8)",
    )
    parser.add_argument(
        "--sampler", choices=("pingpong", "euler", "rk4", "dpmpp"), help="default of the bundle"
    )
    parser.add_argument("--steps", type=int, help="default of the bundle")
    parser.add_argument("--cfg", type=float, help="default guidance scale of the bundle")
    return parser.parse_args(arguments)


def _synth_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m export synth",
        description=(
            "Write a checkpoint of official names, shapes and configuration with random,"
            " well-scaled weights. It makes noise; it is for measuring memory, speed and parity"
            " where the real weights are not at hand."
        ),
    )
    parser.set_defaults(run=_synth)
    parser.add_argument("out", type=Path, metavar="OUT_DIR", help="a new folder")
    parser.add_argument(
        "--preset", default="sao-small", help="default: %(default)s (stable-audio-open-small)"
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
    return parser


def _lengths(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of numbers like 64,128") from None


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0, or 1 after one line on stderr."""
    options = parse_arguments(sys.argv[1:] if arguments is None else arguments)
    try:
        options.run(options)
    except EdgeAudioError as error:
        return _fail(str(error))
    except ImportError as error:
        return _fail(
            f"{error.name or error} is not installed; run pip install '.[export]' in a clone of the"
            " repository"
        )
    except OSError as error:
        return _fail(f"{error}; choose another folder or free some space")
    except MemoryError:
        return _fail(
            "not enough memory to export this model; close other programs or use a larger machine"
        )
    except KeyboardInterrupt:
        return _fail("interrupted; an older bundle is as it was", 130)
    return 0


def _export(options: argparse.Namespace) -> None:
    from .quiet import import_tensorflow

    import_tensorflow()
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
            target_snr=options.target_snr,
            prompts=options.prompts,
            recipe=options.recipe,
            checks=from_json(options.checks) if options.checks else (),
        ),
        say=_say,
    )
    total = sum(
        entry.bytes for precisions in manifest.graphs.values() for entry in precisions.values()
    )
    print(
        f'{options.out}: {total / 1e6:.1f} MB of graphs; next: edge-audio generate "..." --model'
        f" {options.out}"
    )


def _synth(options: argparse.Namespace) -> None:
    from . import synth

    synth.write(options.preset, options.out, options.dtype, options.seed, say=_say)
    print(f"{options.out}: random weights; next: python -m export {options.out} BUNDLE_DIR")


def _fail(message: str, code: int = 1) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return code


def _say(line: str) -> None:
    print(line, file=sys.stderr if line.startswith("warning:") else sys.stdout, flush=True)


if __name__ == "__main__":
    sys.exit(main())
