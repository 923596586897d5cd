"""The gallery page: one file with a player and a picture of every sound, and a clear error without
a bundle.
"""

import base64
import io
import re

import numpy as np
import soundfile

from models.training import gallery
from models.training.sounds import FAMILIES, FIRST


def test_the_page_has_a_sound_and_a_picture_of_every_family(monkeypatch, tmp_path, capsys) -> None:
    shown = [name for families in gallery.groups_of(FIRST).values() for name in families]
    assert sorted(shown) == sorted(FAMILIES)
    few = {name: FAMILIES[name] for name in ("tone", "rain")}
    monkeypatch.setattr(gallery, "GROUPS", {"A few <sounds>": few})
    page = tmp_path / "gallery.html"
    assert gallery.main(["models/pocket", str(page), "--precision", "int8"]) == 0
    text = page.read_text()
    sounds = re.findall(r"data:audio/ogg;base64,([\w+/=]+)", text)
    assert (
        len(sounds) == text.count("data:image/png;base64,") == 2 and "A few &lt;sounds&gt;" in text
    )
    assert 'src="http' not in text and 'href="http' not in text  # it works without a network
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(sounds[0])))
    assert rate == 16_000 and len(samples) == 64_000 and np.abs(samples).max() > 0.05
    assert gallery.main([str(tmp_path / "none"), str(page)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
