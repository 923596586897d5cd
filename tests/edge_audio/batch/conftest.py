"""A run of the toy bundle, as the command line makes it."""

import pytest

from edge_audio.cli.main import main


@pytest.fixture
def batch(toy_bundle, tmp_path, capsys):
    """Run `edge-audio batch` on a list of lines; returns (exit code, what it printed, errors)."""

    def batch(lines, *options, out=tmp_path / "out", name="list.csv"):
        listed = tmp_path / name
        listed.write_text("\n".join(lines) + "\n")
        given = ["batch", listed, "--out", out, "--model", toy_bundle, "--workers", 1]
        code = main([str(word) for word in [*given, "--threads", 1, *options]])
        return code, *capsys.readouterr()

    return batch
