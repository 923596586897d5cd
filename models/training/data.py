"""The training set on disk: clips made once by `sounds`, and the tokenizer trained on their
captions.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import sentencepiece
from tqdm import tqdm

from .pocket import MAX_TOKENS
from .sounds import FIRST, World

VOCABULARY = 640
#: captions of each clip, drawn anew: one of them is used whenever a clip is trained on
PHRASES = 12
AUDIO_FILE, INDEX_FILE, TOKENIZER_FILE = "audio.i16", "clips.json", "spiece.model"


@dataclass(frozen=True)
class Clips:
    """`audio` int16 [clips, samples], or [clips, samples, channels], memory-mapped; `ids`, `mask`
    int64 [clips, phrases, MAX_TOKENS]; `seconds` [clips]; `families` [clips], empty for sounds that
    are of none.
    """

    audio: np.ndarray
    captions: list[tuple[str, ...]]
    ids: np.ndarray
    mask: np.ndarray
    seconds: np.ndarray
    families: np.ndarray = field(default_factory=lambda: np.array([], str))

    @property
    def sha256(self) -> str:
        """Of the sounds."""
        return hashlib.sha256(np.ascontiguousarray(self.audio)).hexdigest()


def prepare(folder: Path, count: int, seed: int, world: World = FIRST) -> Clips:
    """Make `count` clips of a sound world and the tokenizer in `folder`, unless they are there, and
    open them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / TOKENIZER_FILE).exists():
        _train_tokenizer(folder, world)
    shape = (world.clip_samples,) + (world.channels,) * (world.channels > 1)
    if not (folder / INDEX_FILE).exists():
        audio = np.memmap(folder / AUDIO_FILE, np.int16, "w+", shape=(count, *shape))
        index = []
        for row, sound in enumerate(
            tqdm(
                world.make_dataset(count, seed, PHRASES),
                total=count,
                desc="sounds",
                unit="clip",
                mininterval=5,
            )
        ):
            audio[row] = np.round(sound.audio * 32767)
            index.append(
                {"captions": sound.captions, "family": sound.family, "seconds": sound.seconds}
            )
        audio.flush()
        (folder / INDEX_FILE).write_text(json.dumps(index))  # last: an interrupted run starts over
    index = json.loads((folder / INDEX_FILE).read_text())
    if len(index) != count:
        raise SystemExit(
            f"error: {folder} holds {len(index)} clips, not {count}; use another folder, or --clips"
            f" {len(index)}"
        )
    audio = np.memmap(folder / AUDIO_FILE, np.int16, "r", shape=(len(index), *shape))
    captions = [tuple(clip["captions"]) for clip in index]
    return Clips(
        audio,
        captions,
        *tokenize(folder / TOKENIZER_FILE, captions),
        np.array([clip["seconds"] for clip in index]),
        np.array([clip["family"] for clip in index]),
    )


def tokenize(model: Path, captions: Sequence[Sequence[str]]) -> tuple[np.ndarray, np.ndarray]:
    """Ids and mask [clips, phrases, MAX_TOKENS] of all captions, as many for each clip, in T5's
    convention: pieces, eos, zeros.
    """
    processor = sentencepiece.SentencePieceProcessor(model_file=str(model))
    ids = np.zeros((len(captions), len(captions[0]), MAX_TOKENS), np.int64)
    mask = np.zeros_like(ids)
    for row, phrases in enumerate(captions):
        for column, encoded in enumerate(processor.encode(list(phrases))):
            pieces = [*encoded[: MAX_TOKENS - 1], processor.eos_id()]
            ids[row, column, : len(pieces)], mask[row, column, : len(pieces)] = pieces, 1
    return ids, mask


def vocabulary_size(model: Path) -> int:
    """How many rows the text encoder's embedding needs."""
    return sentencepiece.SentencePieceProcessor(model_file=str(model)).vocab_size()


def _train_tokenizer(folder: Path, world: World) -> None:
    """A unigram SentencePiece model with T5's special ids; letters that no caption has become the
    unknown piece.
    """
    prefix = folder / Path(TOKENIZER_FILE).stem
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=world.captions_corpus(),
        model_prefix=str(prefix),
        vocab_size=VOCABULARY,
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
