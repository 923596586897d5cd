"""What shells and `man` know of the command line, made of its parser: `make shell`.

Committed, so that neither the wheel nor who installs it needs what makes them.
"""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path

os.environ |= {"COLUMNS": "80", "EDGE_AUDIO_CONFIG": "off"}

import shtab
from argparse_manpage.manpage import Manpage

from edge_audio.cli.completion import SHELLS
from edge_audio.cli.parser import parser
from edge_audio.exporter import command as exporter
from edge_audio.sampling.samplers import SAMPLERS

ROOT = Path(__file__).parents[1]

#: Names of the models that are kept, as `bundle.places.models_folder` finds them; to ask Python
#: for them takes longer than a Tab may.
KEPT = (
    'if [ -n "$EDGE_AUDIO_MODELS" ]; then ls "$EDGE_AUDIO_MODELS"; else for data in'
    ' "${XDG_DATA_HOME:-$HOME/.local/share}" "$HOME/Library/Application Support"; do ls'
    ' "$data/edge-audio/models"; done; fi 2>/dev/null'
)
#: what completes a model: those names, or folders
MODEL = {
    "bash": "_edge_audio_model",
    "zsh": "_edge_audio_model",
    "fish": "(_edge_audio_model)",
    "preamble": {
        "bash": f'_edge_audio_model() {{ compgen -W "$({KEPT})" -- $1; compgen -d -- $1; }}',
        "zsh": f"_edge_audio_model() {{ compadd -- $({KEPT}); _files -/; }}",
        "fish": (
            f"function _edge_audio_model\n    sh -c '{KEPT}'\n    __fish_complete_directories\nend"
        ),
    },
}

MORE = r""".SH FILES
.TP
.I ~/.config/edge\-audio/config.toml
what options are unless a flag or the environment says otherwise, a table a command
.TP
.I ~/.cache/edge\-audio
weights as the CPU wants them; \fBedge\-audio cache \-\-purge\fR empties it
.TP
.I ~/.local/share/edge\-audio
the history of \fBedge\-audio serve\fR
.TP
.I ~/.local/share/edge\-audio/models
what \fBedge\-audio pull\fR fetched, a folder a model
.SH ENVIRONMENT
.TP
.B EDGE_AUDIO_CONFIG
another configuration file, or \fBoff\fR
.TP
.B EDGE_AUDIO_MODEL
the model that is used where none is named
.TP
.B EDGE_AUDIO_MODELS
another folder for the models that are kept
.TP
.B EDGE_AUDIO_CACHE
another folder for the cache, or \fBoff\fR
.TP
.B EDGE_AUDIO_DATA
another folder for the history
.TP
.B EDGE_AUDIO_API_KEY
what clients of \fBedge\-audio serve\fR must show
.SH EXIT STATUS
0 done, 1 could not or not as it should be, 2 wrong usage, 130 interrupted.
"""


def documented() -> argparse.ArgumentParser:
    """The command line's parser; export, which hands on its arguments, with the exporter's."""
    top = parser()
    commands = next(one for one in top._actions if isinstance(one, argparse._SubParsersAction))
    described = next(one for one in commands._choices_actions if one.dest == "export")
    commands._choices_actions.remove(described)
    commands._name_parser_map.pop("export")
    exports = exporter._parser("edge-audio export")
    commands.add_parser(
        "export",
        help=described.help,
        description=exports.description,
        parents=[exports],
        add_help=False,
    )
    for command in commands.choices.values():
        for action in command._actions:
            name = str(action.metavar or "")
            if name.startswith(("FILE", "LIST", "DRAWS", "OUT.")) and action.type is not int:
                action.complete = shtab.FILE
            elif name == "MODEL" or action.dest == "model":
                action.complete = MODEL
            elif "DIR" in name:
                action.complete = shtab.DIRECTORY
            elif "--sampler" in action.option_strings:
                action.choices = tuple(SAMPLERS)
    return top


def manual() -> str:
    """The manual page, without date and version, so that it changes with the commands alone."""
    top = documented()
    page = Manpage(top, format="single-commands-section")
    page.date, page.manual = "", "User Commands"
    page.description = "text to sound, offline, on small computers"
    made = str(page).replace(".SH\nPOSITIONAL ARGUMENTS", ".SH COMMANDS")
    # a line of help that begins with a full stop, such as .wav, is no macro of roff
    made = re.sub(r"^(?=\.[a-z])", r"\\&", made, flags=re.MULTILINE)
    made = re.sub(r"^usage: (.*?)\n$", r".nf\n\1\n.fi\n", made, flags=re.DOTALL | re.MULTILINE)
    return made.rstrip() + "\n" + MORE


def files() -> dict[Path, str]:
    """Every file that is made, and what is in it."""
    folder = ROOT / "edge_audio" / "cli" / "shell"
    return {
        ROOT / "packaging" / "edge-audio.1": manual(),
        **{
            folder / name: shtab.complete(documented(), shell).rstrip() + "\n"
            for shell, name in SHELLS.items()
        },
    }


if __name__ == "__main__":
    for place, text in files().items():
        place.write_text(text, encoding="utf-8")
