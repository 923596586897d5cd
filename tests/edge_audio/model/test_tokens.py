import numpy as np
import pytest
import sentencepiece
import toy

from edge_audio.errors import EdgeAudioError, UsageError
from edge_audio.model.tokens import Tokenizer, padded


@pytest.fixture(scope="module")
def model(toy_bundle):
    return toy_bundle / "tokenizer.model"


def test_t5_convention(model):
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(model)).encode("rain")
    tokens = Tokenizer(model, 16).encode("rain")
    expected = [*pieces, 1]
    assert (
        tokens.ids.dtype == tokens.mask.dtype == np.int32
        and tokens.ids.shape == tokens.mask.shape == (1, 16)
    )
    assert tokens.ids[0].tolist() == expected + [0] * (16 - len(expected))
    assert tokens.mask[0].tolist() == [1] * len(expected) + [0] * (16 - len(expected))
    assert tokens.count == len(expected) and not tokens.truncated


def test_a_long_prompt_is_cut_and_still_ends(model):
    tokens = Tokenizer(model, toy.PROMPT_LENGTH).encode("rain on a roof " * 700)
    assert tokens.truncated and tokens.count > 1000
    assert tokens.ids.shape == (1, 8) and tokens.ids[0, -1] == 1 and tokens.mask.all()


def test_a_prompt_that_just_fits_is_not_cut(model):
    count = Tokenizer(model, 64).encode("rain").count
    tokens = Tokenizer(model, count).encode("rain")
    assert not tokens.truncated and tokens.mask.all() and tokens.ids[0, -1] == 1


def test_unknown_characters_are_tokens_too(model):
    assert 2 in Tokenizer(model, 16).encode("雨").ids


def test_padded_ids_are_masked():
    tokens = padded([118, 7, 54, 1, 0, 0], 8)
    assert tokens.ids[0].tolist() == [118, 7, 54, 1, 0, 0, 0, 0] and tokens.mask[0].tolist() == [
        1,
        1,
        1,
        1,
        0,
        0,
        0,
        0,
    ]


def test_bytes_that_are_no_text(model):
    with pytest.raises(UsageError, match="no text; write it in UTF-8"):
        Tokenizer(model, 8).encode("rain \udcff")


def test_a_file_that_is_no_tokenizer(tmp_path):
    path = tmp_path / "tokenizer.model"
    path.write_bytes(b"not a model")
    for missing in (path, tmp_path / "absent.model"):
        with pytest.raises(
            EdgeAudioError, match=f"{missing.name} is not a SentencePiece model .*export"
        ):
            Tokenizer(missing, 8)
