"""Forty fixed prompts to measure a model with: what to ask for, and what `edge_audio.evaluate.checks.check` should then hear.

The wordings are among those of `sounds.FAMILIES`, so the score says how well the model makes what it was taught.
"""

from __future__ import annotations

from edge_audio.evaluate.prompts import Prompt

from .sounds import FULL_SECONDS, complete_attributes


def _ask(text: str, family: str, **key: str | int) -> Prompt:
    return Prompt(text, FULL_SECONDS, family, complete_attributes(family, key))


EVALUATION_PROMPTS: tuple[Prompt, ...] = (
    _ask("a sine tone at A4", "tone", note="A4"),
    _ask("steady C3 tone", "tone", note="C3"),
    _ask("pure tone, note C#5", "tone", note="C#5"),
    _ask("an F#3 sine wave", "tone", note="F#3"),
    _ask("sine wave at E5", "tone", note="E5"),
    _ask("a steady tone on the note G4", "tone", note="G4"),
    _ask("a plucked string at E3", "pluck", note="E3"),
    _ask("plucked A3 string", "pluck", note="A3"),
    _ask("guitar pluck, note D4", "pluck", note="D4"),
    _ask("a guitar string plucked at G#4", "pluck", note="G#4"),
    _ask("a bell ringing at C5", "bell", note="C5"),
    _ask("bell, note A4", "bell", note="A4"),
    _ask("an F#5 bell", "bell", note="F#5"),
    _ask("a low bass note at E2", "bass", note="E2"),
    _ask("bass note A2", "bass", note="A2"),
    _ask("an A minor chord", "chord", chord="A minor"),
    _ask("a rising sine sweep", "sweep", direction="rising"),
    _ask("upward pitch sweep", "sweep", direction="rising"),
    _ask("a falling sine sweep", "sweep", direction="falling"),
    _ask("a sweep going down", "sweep", direction="falling"),
    _ask("a slow siren", "siren", rate="slow"),
    _ask("fast siren wailing", "siren", rate="fast"),
    _ask("slow beeps", "beeps", rate="slow"),
    _ask("fast electronic beeps", "beeps", rate="fast"),
    _ask("repeated laser shots", "laser", shots="repeated"),
    _ask("a kick drum", "kick"),
    _ask("snare drum hit", "snare"),
    _ask("closed hi-hat hit", "hat"),
    _ask("drum beat at 120 bpm", "beat", bpm=120),
    _ask("90 bpm beat", "beat", bpm=90),
    _ask("a 160 bpm drum loop", "beat", bpm=160),
    _ask("drums playing at 70 bpm", "beat", bpm=70),
    _ask("metronome at 100 bpm", "metronome", bpm=100),
    _ask("a 140 bpm click track", "metronome", bpm=140),
    _ask("steady rain", "rain"),
    _ask("the sound of rain", "rain"),
    _ask("ocean waves", "waves"),
    _ask("waves on a beach", "waves"),
    _ask("wind blowing", "wind"),
    _ask("white noise", "noise"),
)
