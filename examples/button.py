"""A push button between GPIO 17 and ground makes a new sound at every press: `python
examples/button.py "a laser shot"`.

Needs gpiozero (on Raspberry Pi OS: sudo apt install python3-gpiozero, and a virtual environment
with --system-site-packages) and a loudspeaker. The graphs stay loaded, so that a press is answered
at once; a press during a sound is ignored, and a player that fails at one press is tried again at
the next.
"""

from __future__ import annotations

import sys

from edge_audio import EdgeAudioError, Pipeline
from edge_audio.audio.play import Playback

PIN = 17


def play(pipeline: Pipeline, prompt: str) -> None:
    """Make a sound with a random seed and play it while it is made."""
    manifest = pipeline.bundle.manifest
    playback = Playback(manifest.sample_rate, manifest.channels)
    try:
        pipeline.generate(prompt, on_block=playback)
        playback.finish()
    except BaseException:
        playback.stop()
        raise


def main(prompt: str) -> None:
    from gpiozero import Button

    button = Button(PIN, bounce_time=0.05)
    with Pipeline.load(memory="all") as pipeline:
        print(f"press the button at GPIO {PIN}: {prompt}", flush=True)
        while True:
            button.wait_for_press()
            try:
                play(pipeline, prompt)
            except EdgeAudioError as error:
                print(f"error: {error}", file=sys.stderr, flush=True)
            button.wait_for_release()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "a bell ringing at C5")
