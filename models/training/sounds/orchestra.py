"""Instruments of the soundfont, and chords, scales and arpeggios on some of them."""

from __future__ import annotations

from .played import arpeggio, chord, instrument, scale
from .world import Family

_PIANO, _GUITAR, _CLASSICAL = ((0, 0), (0, 1)), ((0, 25),), ((0, 24),)
_ORGAN, _STRINGS, _CHOIR = ((0, 19),), ((0, 48), (0, 49)), ((0, 52),)
_BRASS, _VIOLIN, _HARP = ((0, 61), (8, 61)), ((0, 40),), ((0, 46),)

# struck and plucked: they die away by themselves
_STRUCK: dict[str, Family] = {
    "piano": instrument(_PIANO, "C2", "C6", "a piano", "a grand piano", "a piano note", weight=1.6),
    "honky_tonk": instrument(
        ((0, 3),), "C3", "C6", "a honky-tonk piano", "a saloon piano", "an old piano"
    ),
    "electric_piano": instrument(
        ((0, 4), (8, 4)), "G2", "C6", "an electric piano", "a rhodes piano", "a rhodes"
    ),
    "harpsichord": instrument(
        ((0, 6), (8, 6)), "C3", "C6", "a harpsichord", "a cembalo", "a harpsichord note"
    ),
    "clavinet": instrument(
        ((0, 7),), "C2", "C5", "a clavinet", "a funky clavinet", "a clavinet note"
    ),
    "celesta": instrument(((0, 8),), "C4", "C6", "a celesta", "a celeste", "a celesta note"),
    "glockenspiel": instrument(
        ((0, 9),), "G5", "C7", "a glockenspiel", "orchestra bells", "a glockenspiel note"
    ),
    "vibraphone": instrument(((0, 11),), "C3", "C6", "a vibraphone", "vibes", "a vibraphone note"),
    "marimba": instrument(((0, 12),), "C3", "C6", "a marimba", "a marimba bar", "a marimba note"),
    "xylophone": instrument(
        ((0, 13),), "C4", "C7", "a xylophone", "a xylophone bar", "a xylophone note"
    ),
    "tubular_bell": instrument(
        ((0, 14),), "C4", "F5", "a tubular bell", "an orchestral chime", "tubular bells"
    ),
    "dulcimer": instrument(
        ((0, 15),), "C3", "C6", "a dulcimer", "a hammered dulcimer", "a dulcimer note"
    ),
    "classical_guitar": instrument(
        _CLASSICAL, "E2", "C5", "a classical guitar", "a nylon guitar", "a spanish guitar"
    ),
    "guitar": instrument(
        _GUITAR, "E2", "C5", "a guitar", "an acoustic guitar", "a steel string guitar", weight=1.6
    ),
    "electric_guitar": instrument(
        ((0, 27), (0, 26)), "E2", "C5", "an electric guitar", "a clean guitar", "a jazz guitar"
    ),
    "muted_guitar": instrument(
        ((0, 28),), "E2", "C5", "a muted guitar", "a palm muted guitar", "a muted guitar note"
    ),
    "ukulele": instrument(((8, 24),), "C4", "A5", "a ukulele", "a small guitar", "a uke"),
    "banjo": instrument(((0, 105),), "C3", "G5", "a banjo", "a country banjo", "a banjo note"),
    "sitar": instrument(((0, 104),), "C3", "C5", "a sitar", "an indian sitar", "a sitar note"),
    "koto": instrument(((0, 107),), "C3", "C6", "a koto", "a japanese koto", "a koto note"),
    "harp": instrument(_HARP, "C3", "C6", "a harp", "a concert harp", "a harp note"),
    "pizzicato": instrument(
        ((0, 45),), "C3", "C6", "pizzicato strings", "plucked violins", "a pizzicato"
    ),
    "kalimba": instrument(((0, 108),), "C4", "C6", "a kalimba", "a thumb piano", "a kalimba note"),
    "steel_drum": instrument(
        ((0, 114),), "C4", "C6", "a steel drum", "a steel pan", "a caribbean drum"
    ),
    "timpani": instrument(((0, 47),), "C2", "C3", "timpani", "a kettle drum", "a timpani hit"),
    "upright_bass": instrument(
        ((0, 32),), "A1", "G3", "an upright bass", "a jazz bass", "an acoustic bass"
    ),
    "bass_guitar": instrument(
        ((0, 33), (0, 34)), "A1", "G3", "a bass guitar", "an electric bass", "a bass", weight=1.4
    ),
    "slap_bass": instrument(((0, 36),), "A1", "G3", "a slap bass", "a funk bass", "a slapped bass"),
}
# blown, bowed and sung: they last as long as they are held
_HELD: dict[str, Family] = {
    "church_organ": instrument(
        _ORGAN, "C3", "C6", "an organ", "a church organ", "a pipe organ", held=True, weight=1.4
    ),
    "hammond": instrument(
        ((0, 16), (0, 18)),
        "C3",
        "C5",
        "a hammond organ",
        "a rock organ",
        "a drawbar organ",
        held=True,
    ),
    "accordion": instrument(
        ((0, 21), (8, 21)),
        "C3",
        "C6",
        "an accordion",
        "a squeezebox",
        "an accordion note",
        held=True,
    ),
    "harmonica": instrument(
        ((0, 22),), "C4", "C6", "a harmonica", "a blues harp", "a mouth organ", held=True
    ),
    "distorted_guitar": instrument(
        ((0, 29), (0, 30)),
        "E2",
        "C5",
        "a distorted guitar",
        "an overdriven guitar",
        "a rock guitar",
        held=True,
    ),
    "violin": instrument(
        _VIOLIN, "G3", "C6", "a violin", "a fiddle", "a violin note", held=True, weight=1.4
    ),
    "cello": instrument(
        ((0, 42),), "C2", "C5", "a cello", "a bowed cello", "a cello note", held=True
    ),
    "tremolo": instrument(
        ((0, 44),),
        "G3",
        "C6",
        "tremolo strings",
        "trembling strings",
        "a string tremolo",
        held=True,
    ),
    "strings": instrument(
        _STRINGS, "C3", "C6", "strings", "a string section", "a string orchestra", held=True
    ),
    "choir": instrument(
        _CHOIR, "C3", "C5", "a choir", "a choir singing", "singing voices", held=True
    ),
    "trumpet": instrument(
        ((0, 56),),
        "E3",
        "A5",
        "a trumpet",
        "a brass trumpet",
        "a trumpet note",
        held=True,
        weight=1.4,
    ),
    "muted_trumpet": instrument(
        ((0, 59),),
        "E3",
        "A5",
        "a muted trumpet",
        "a jazz trumpet",
        "a muted trumpet note",
        held=True,
    ),
    "trombone": instrument(
        ((0, 57),), "E2", "A4", "a trombone", "a slide trombone", "a trombone note", held=True
    ),
    "tuba": instrument(((0, 58),), "A1", "E3", "a tuba", "a brass tuba", "a tuba note", held=True),
    "french_horn": instrument(
        ((0, 60),), "F2", "F5", "a french horn", "french horns", "a hunting horn", held=True
    ),
    "brass": instrument(_BRASS, "C3", "C5", "a brass section", "brass", "a brass band", held=True),
    "saxophone": instrument(
        ((0, 65), (0, 66)), "C3", "A5", "a saxophone", "a sax", "an alto sax", held=True, weight=1.4
    ),
    "oboe": instrument(
        ((0, 68),), "C4", "A5", "an oboe", "an orchestral oboe", "an oboe note", held=True
    ),
    "bassoon": instrument(
        ((0, 70),), "C2", "C4", "a bassoon", "an orchestral bassoon", "a bassoon note", held=True
    ),
    "clarinet": instrument(
        ((0, 71),), "E3", "C6", "a clarinet", "an orchestral clarinet", "a clarinet note", held=True
    ),
    "flute": instrument(
        ((0, 73),), "C4", "C7", "a flute", "a concert flute", "a flute note", held=True, weight=1.4
    ),
    "recorder": instrument(
        ((0, 74),), "C4", "C6", "a recorder", "a wooden flute", "a recorder note", held=True
    ),
    "pan_flute": instrument(
        ((0, 75),), "C4", "C6", "a pan flute", "panpipes", "a pan flute note", held=True
    ),
    "ocarina": instrument(
        ((0, 79),), "C4", "C6", "an ocarina", "a clay ocarina", "an ocarina note", held=True
    ),
    "bagpipe": instrument(
        ((0, 109),), "C4", "C5", "bagpipes", "a scottish bagpipe", "a bagpipe", held=True
    ),
    "square_lead": instrument(
        ((0, 80),), "C3", "C6", "a square wave", "a chiptune lead", "an 8-bit lead", held=True
    ),
}
_PHRASES: dict[str, Family] = {
    "piano_chord": chord(_PIANO, "a piano chord", "a grand piano chord", "chords on a piano"),
    "guitar_chord": chord(
        _GUITAR + _CLASSICAL,
        "a guitar chord",
        "a guitar strum",
        "a strummed guitar",
        strum=0.03,
        octave=-1,
    ),
    "organ_chord": chord(
        _ORGAN, "an organ chord", "a church organ chord", "a pipe organ chord", held=True
    ),
    "string_chord": chord(
        _STRINGS, "a string chord", "an orchestra chord", "a chord of strings", held=True
    ),
    "choir_chord": chord(_CHOIR, "a choir chord", "a sung chord", "voices in harmony", held=True),
    "brass_chord": chord(
        _BRASS, "a brass chord", "a brass section chord", "a chord of horns", held=True
    ),
    "piano_scale": scale(_PIANO, "a piano", "a scale on the piano", "piano practice"),
    "guitar_scale": scale(_GUITAR, "a guitar", "a scale on the guitar", "guitar practice"),
    "violin_scale": scale(
        _VIOLIN, "a violin", "a scale on the violin", "violin practice", held=True
    ),
    "flute_scale": scale(
        ((0, 73),), "a flute", "a scale on the flute", "flute practice", held=True
    ),
    "piano_arpeggio": arpeggio(_PIANO, "a piano", "a broken chord on the piano", "a piano figure"),
    "guitar_arpeggio": arpeggio(
        _CLASSICAL,
        "a guitar",
        "fingerpicking",
        "a picked guitar",
    ),
    "harp_arpeggio": arpeggio(_HARP, "a harp", "a broken chord on the harp", "a harp figure"),
}
FAMILIES: dict[str, Family] = _STRUCK | _HELD | _PHRASES
