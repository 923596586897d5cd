"""What a model can be asked for: its words, families of sounds with example prompts, and how a
prompt that says less than the model needs is read. A bundle may bring such a list.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from edge_audio.errors import EdgeAudioError

#: families that a note names, as examples
NAMED = 4
#: similar words that a note names
NEAREST = 3
_WORD = re.compile(r"[^\W_]+(?:[-'’#][^\W_]+)*#?")
#: characters of an unknown word that a note repeats
_LONGEST_WORD = 24
_BITS = (1 << 64) - 1


@dataclass(frozen=True)
class SoundFamily:
    """A kind of sound, by its commonest name, and prompts that ask for it."""

    name: str
    prompts: tuple[str, ...]


@dataclass(frozen=True)
class Vocabulary:
    """All words that a model was trained on, in lower case, and the families of sounds that it
    makes.
    """

    words: frozenset[str]
    families: tuple[SoundFamily, ...]
    #: what a name alone may mean, "bell", in words that the model was trained on: the words of a
    #: prompt without those of `fillers` -> captions, of which the seed chooses one; none where the
    #: prompt says it all
    readings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    #: words that do not change the sound
    fillers: frozenset[str] = frozenset()
    #: words that change nothing at the beginning of a name ("a bell"), and may elsewhere ("note a")
    articles: frozenset[str] = frozenset()

    def reading(self, prompt: str, seed: int) -> str:
        """The prompt as the model should read it: itself, or, for a name alone, a caption that also
        says what the name leaves open. Words that the model has never met do not count; notes and
        numbers do.
        """
        left_out = {word for word in self.unknown(prompt) if word.isalpha()} | self.fillers
        words = [word for word in words_of(prompt) if word not in left_out]
        if words and words[0] in self.articles and " ".join(words) not in self.readings:
            del words[0]
        options = self.readings.get(" ".join(words))
        return options[chosen(seed, len(options))] if options else prompt

    def unknown(self, prompt: str) -> list[str]:
        """The words of a prompt that the model has never met, in their order.

        A compound of known words ("drum-beat") is known.
        """
        words = dict.fromkeys(words_of(prompt))
        return [
            word
            for word in words
            if word not in self.words and not set(re.split("[-'’]", word)) <= self.words
        ]

    def nearest(self, word: str, count: int = NEAREST) -> list[str]:
        """Known words that are spelled nearly like `word`, the nearest first: at most a quarter of
        its letters differ. Words of three letters are like too many others; notes and numbers
        ("c#7", "117") are not.
        """
        if len(word) < 3 or (len(word) == 3 and word.isalpha()):
            return []
        allowed = max(1, len(word) // 4)
        distances = sorted(
            (edit_distance(word, known, allowed), known)
            for known in self.words
            if abs(len(known) - len(word)) <= allowed and len(known) > 1
        )
        return [known for distance, known in distances if distance <= allowed][:count]

    def note(self, prompt: str, model: str) -> str | None:
        """What to tell a person about the unknown words of a prompt; None if there are none."""
        unknown = self.unknown(prompt)
        if not unknown:
            return None
        quoted = " or ".join(f"'{word[:_LONGEST_WORD]}'" for word in unknown[:NAMED])
        similar = list(
            dict.fromkeys(near for word in unknown[:NAMED] for near in self.nearest(word))
        )[:NEAREST]
        meant = f" (did you mean {' or '.join(similar)}?)" if similar else ""
        every = max(1, len(self.families) // NAMED)
        known = ", ".join(family.name for family in self.families[::every][:NAMED])
        return (
            f"the {model} model knows no {quoted}{meant}; it knows {known} …, see edge-audio info"
            " --prompts"
        )

    def to_json(self) -> str:
        """The text of a vocabulary file, in which readings are numbers of captions: most captions
        are what several names may mean.
        """
        captions = sorted({caption for reading in self.readings.values() for caption in reading})
        numbers = {caption: number for number, caption in enumerate(captions)}
        entries = {
            "words": sorted(self.words),
            "families": [asdict(family) for family in self.families],
            "captions": captions,
            "readings": {
                words: [numbers[caption] for caption in reading]
                for words, reading in sorted(self.readings.items())
            },
            "fillers": sorted(self.fillers),
            "articles": sorted(self.articles),
        }
        return json.dumps(entries, separators=(",", ":")) + "\n"


def read_vocabulary(path: Path) -> Vocabulary:
    """Inverse of `Vocabulary.to_json`; EdgeAudioError if the file holds something else."""
    try:
        entries = json.loads(path.read_bytes())
        families = tuple(
            SoundFamily(_text(family["name"]), _texts(family["prompts"]))
            for family in entries["families"]
        )
        captions = _texts(entries.get("captions", []))
        readings = {
            _text(words): _texts(_written_out(reading, captions))
            for words, reading in dict(entries.get("readings", {})).items()
        }
        known = Vocabulary(
            words=frozenset(_texts(entries["words"])),
            families=families,
            readings=readings,
            fillers=frozenset(_texts(entries.get("fillers", []))),
            articles=frozenset(_texts(entries.get("articles", []))),
        )
        if not known.words:
            raise ValueError("it is empty")
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise EdgeAudioError(
            f"{path} is no list of what a model knows ({' '.join(str(error).split())[:80]}); copy"
            " the bundle again or export the model again"
        ) from None
    return known


def _written_out(reading: object, captions: Sequence[str]) -> object:
    """A reading with captions for their numbers; older files have the captions themselves."""
    if not isinstance(reading, list):
        return reading
    return [captions[one] if type(one) is int and one >= 0 else one for one in reading]


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("it holds something else than words")
    if not value.isprintable():
        raise ValueError("it holds what cannot be printed")
    return value


def _texts(values: object) -> tuple[str, ...]:
    if not isinstance(values, list):
        raise ValueError("a list is missing")
    return tuple(_text(value) for value in values)


def chosen(seed: int, count: int) -> int:
    """A number below `count` that follows from the seed: one step of SplitMix64 (Steele et al.
    2014), the same in every language.
    """
    mixed = (seed + 0x9E3779B97F4A7C15) & _BITS
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9 & _BITS
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB & _BITS
    return (mixed ^ (mixed >> 31)) % count


def words_of(text: str) -> list[str]:
    """The words of a text in lower case: letters and digits, and what joins them ("hi-
    hat", "c#5").
    """
    return _WORD.findall(text.lower())


def edit_distance(one: str, other: str, most: int) -> int:
    """Letters to insert, delete, replace or swap with their neighbour (optimal string alignment);
    `most` + 1 if it is more.
    """
    before: Sequence[int] = ()
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        previous, before, row = before, row, [i]
        for j, wanted in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == wanted:
                cost = min(cost, previous[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
    return row[-1]
