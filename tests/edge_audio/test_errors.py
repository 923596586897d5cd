"""What an error says is one line that can be shown anywhere."""

import pytest

from edge_audio import EdgeAudioError, UsageError


@pytest.mark.parametrize("kind", [EdgeAudioError, UsageError])
def test_a_message_is_one_printable_line(kind):
    error = kind("graph\nhas \x1b[31mred\x07 and ünïcode 日本")
    assert (
        str(error)
        == "graph has \N{REPLACEMENT CHARACTER}[31mred\N{REPLACEMENT CHARACTER} and ünïcode 日本"
    )
    assert str(kind()) == ""
