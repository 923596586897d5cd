"""`python -m export CHECKPOINT_DIR OUT_DIR`: an official-format checkpoint becomes a bundle."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from edge_audio.bundle import COMPONENTS, GENERATING
from edge_audio.errors import EdgeAudioError


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m export", description=__doc__)
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT_DIR",
                        help="folder with model_config.json, model.safetensors (or a .ckpt) and t5/")
    parser.add_argument("out", type=Path, metavar="OUT_DIR", help="folder of the bundle; an older bundle there is replaced")
    parser.add_argument("--precision", default="f32,f16,int8", metavar="LIST", help="default: %(default)s")
    parser.add_argument("--without-encoder", action="store_true", help="leave out the encoder, which only audio-to-audio needs")
    parser.add_argument("--tokenizer", type=Path, metavar="FILE", help="SentencePiece model, if the folder has none")
    parser.add_argument("--name", help="name of the model (default: name of OUT_DIR)")
    parser.add_argument("--license", default="see the source checkpoint", help="licence, as the manifest states it")
    parser.add_argument("--tile", type=int, default=32, metavar="N", help="latents per tile of the decoder's tail")
    parser.add_argument("--sampler", choices=("pingpong", "euler", "rk4", "dpmpp"), help="default of the bundle")
    parser.add_argument("--steps", type=int, help="default of the bundle")
    parser.add_argument("--cfg", type=float, help="default guidance scale of the bundle")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0, or 1 after one line on stderr."""
    options = parse_arguments(arguments)
    # before TensorFlow is imported: no chatter, and float arithmetic that does not depend on oneDNN's choices
    os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}
    try:
        from .bundle import Options, export

        manifest = export(options.checkpoint, options.out, Options(
            tuple(p.strip() for p in options.precision.split(",") if p.strip()),
            GENERATING if options.without_encoder else COMPONENTS, options.tokenizer, options.name, options.license,
            options.tile, options.sampler, options.steps, options.cfg), say=_say)
    except EdgeAudioError as error:
        return _fail(str(error))
    except ImportError as error:
        return _fail(f"{error.name or error} is not installed; run pip install '.[export]' in a clone of the repository")
    except OSError as error:
        return _fail(f"{error}; choose another folder or free some space")
    except MemoryError:
        return _fail("not enough memory to export this model; close other programs or use a larger machine")
    except KeyboardInterrupt:
        return _fail("interrupted; the folder is as it was", 130)
    total = sum(entry.bytes for precisions in manifest.graphs.values() for entry in precisions.values())
    print(f"{options.out}: {total / 1e6:.1f} MB of graphs; next: edge-audio generate \"...\" --model {options.out}")
    return 0


def _fail(message: str, code: int = 1) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return code


def _say(line: str) -> None:
    print(line, file=sys.stderr if line.startswith("warning:") else sys.stdout, flush=True)


if __name__ == "__main__":
    sys.exit(main())
