"""The training set on disk: clips made once by `sounds`, and the tokenizer trained on their
captions.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import sentencepiece
from tqdm import tqdm

from edge_audio.errors import EdgeAudioError

from .design import POCKET, Design
from .sounds import World, by_name, packages

#: captions of each clip, drawn anew: one of them is used whenever a clip is trained on
PHRASES = 12
#: of int16
FULL_SCALE = 32768
AUDIO_FILE, INDEX_FILE, TOKENIZER_FILE = "audio.i16", "clips.json", "spiece.model"


@dataclass(frozen=True)
class Sounds:
    """Clips of any length, int16, one after another: `samples` [all samples, channels], and where
    each of them starts, `starts` [clips + 1].
    """

    samples: np.ndarray
    starts: np.ndarray

    @classmethod
    def of(cls, clips: Sequence[np.ndarray]) -> Sounds:
        """Of int16 clips [samples, channels]."""
        return cls(np.concatenate(clips), np.cumsum([0, *map(len, clips)]))

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __add__(self, other: Sounds) -> Sounds:
        """These, then the others."""
        return Sounds(
            np.concatenate([self.samples, other.samples]),
            np.concatenate([self.starts, self.starts[-1] + other.starts[1:]]),
        )

    def cut(self, row: int, start: int, count: int) -> np.ndarray:
        """`count` samples of a clip from `start` on, zeros after its end: float32 [channels,
        count].
        """
        first, end = self.starts[row] + start, self.starts[row + 1]
        cut = np.zeros((self.samples.shape[1], count), np.float32)
        held = self.samples[first : min(first + count, end)]
        cut[:, : len(held)] = held.T / np.float32(FULL_SCALE)
        return cut


@dataclass(frozen=True)
class Clips:
    """Sounds and what is said of them. `ids`, `mask` int64 [clips, phrases, tokens]; `seconds`
    [clips]; `families` [clips], empty for sounds that are of none.
    """

    audio: Sounds
    captions: list[tuple[str, ...]]
    ids: np.ndarray
    mask: np.ndarray
    seconds: np.ndarray
    families: np.ndarray = field(default_factory=lambda: np.array([], str))

    @property
    def sha256(self) -> str:
        """Of all sounds."""
        return hashlib.sha256(np.ascontiguousarray(self.audio.samples)).hexdigest()


def prepare(folder: Path, count: int, seed: int, design: Design = POCKET) -> Clips:
    """Make `count` clips of the design's sound world and its tokenizer in `folder`, on all cores,
    unless they are there, and open them.
    """
    world = design.world
    if world.name == "second" and (lines := packages.missing()):
        raise EdgeAudioError(f"the second sound world needs more: {'; '.join(lines)}")
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / TOKENIZER_FILE).exists():
        _train_tokenizer(folder, world, design.pieces)
    if not (folder / INDEX_FILE).exists():
        index = list(_write_sounds(folder / AUDIO_FILE, world, count, seed))
        (folder / INDEX_FILE).write_text(json.dumps(index))  # last: an interrupted run starts over
    index = json.loads((folder / INDEX_FILE).read_text())
    if len(index) != count:
        raise SystemExit(
            f"error: {folder} holds {len(index)} clips, not {count}; use another folder, or --clips"
            f" {len(index)}"
        )
    captions = [tuple(clip["captions"]) for clip in index]
    return Clips(
        Sounds(
            np.memmap(folder / AUDIO_FILE, np.int16, "r").reshape(-1, world.channels),
            np.cumsum([0, *(clip["samples"] for clip in index)]),
        ),
        captions,
        *tokenize(folder / TOKENIZER_FILE, captions, design.max_tokens),
        np.array([clip["seconds"] for clip in index]),
        np.array([clip["family"] for clip in index]),
    )


def as_int16(audio: np.ndarray, seconds: float, sample_rate: int) -> np.ndarray:
    """The asked length of a clip, float [samples] or [samples, channels]: int16 [samples,
    channels].
    """
    length = min(len(audio), round(seconds * sample_rate))
    return np.round(audio[:length].reshape(length, -1) * (FULL_SCALE - 1)).astype(np.int16)


def _write_sounds(path: Path, world: World, count: int, seed: int) -> Iterator[dict]:
    """Write the sounds of a world, and tell of each what the index says of it."""
    # spawned: a fork of a process in which PyTorch has threads may wait for ever
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool, path.open("wb") as stream:
        made = pool.map(partial(_sound, world.name, seed), range(count), chunksize=16)
        for about, audio in tqdm(made, total=count, desc="sounds", unit="clip", mininterval=5):
            stream.write(audio.tobytes())
            yield about


def _sound(world_name: str, seed: int, index: int) -> tuple[dict, np.ndarray]:
    world = by_name(world_name)
    sound = world.sound_at(index, seed, PHRASES)
    audio = as_int16(sound.audio, sound.seconds, world.sample_rate)
    about = {"captions": sound.captions, "family": sound.family, "seconds": sound.seconds}
    return about | {"samples": len(audio)}, audio


def tokenize(
    model: Path, captions: Sequence[Sequence[str]], max_tokens: int
) -> tuple[np.ndarray, np.ndarray]:
    """Ids and mask [clips, phrases, max_tokens] of all captions, as many for each clip, in T5's
    convention: pieces, eos, zeros.
    """
    processor = sentencepiece.SentencePieceProcessor(model_file=str(model))
    ids = np.zeros((len(captions), len(captions[0]), max_tokens), np.int64)
    mask = np.zeros_like(ids)
    for row, phrases in enumerate(captions):
        for column, encoded in enumerate(processor.encode(list(phrases))):
            pieces = [*encoded[: max_tokens - 1], processor.eos_id()]
            ids[row, column, : len(pieces)], mask[row, column, : len(pieces)] = pieces, 1
    return ids, mask


def vocabulary_size(model: Path) -> int:
    """How many rows the text encoder's embedding needs."""
    return sentencepiece.SentencePieceProcessor(model_file=str(model)).vocab_size()


def _train_tokenizer(folder: Path, world: World, pieces: int) -> None:
    """A unigram SentencePiece model with T5's special ids; letters that no caption has become the
    unknown piece.
    """
    prefix = folder / Path(TOKENIZER_FILE).stem
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=world.captions_corpus(),
        model_prefix=str(prefix),
        vocab_size=pieces,
        model_type="unigram",
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        hard_vocab_limit=False,
        normalization_rule_name="nmt_nfkc_cf",
        character_coverage=1.0,
        minloglevel=2,
    )
    (folder / f"{prefix.name}.vocab").unlink(missing_ok=True)
