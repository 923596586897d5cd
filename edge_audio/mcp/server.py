"""The tools, over standard input and output, by the official SDK of the Model Context Protocol."""

from __future__ import annotations

import io
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import anyio
import anyio.to_thread
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import BaseModel, Field

from edge_audio.audio.clip import Clip
from edge_audio.errors import EdgeAudioError
from edge_audio.mcp.folder import Folder
from edge_audio.pipeline import Cancelled, Pipeline, Progress
from edge_audio.request import Request
from edge_audio.version import __version__

_INSTRUCTIONS = (
    "Makes sounds from descriptions, and changes sounds, as files in one folder. Files are named"
    " relative to it. The same text, settings and seed make the same sound."
)
#: files that are listed
_MOST_LISTED = 500
#: seconds between two reports of progress
_REPORT = 0.25

Text = Annotated[str, Field(max_length=4000, description="what to hear, such as: rain on a roof")]
Seed = Annotated[
    int | None, Field(ge=0, lt=1 << 63, description="chosen by itself if it is left out")
]
NewFile = Annotated[
    str | None,
    Field(description="name of the new file, with .wav, .flac, .ogg, .mp3 or .opus"),
]
Number = Annotated[float, Field(allow_inf_nan=False)]


class Made(BaseModel):
    """A sound that was made."""

    file: str
    seconds: float
    sample_rate: int
    seed: int
    #: what should be known of it: what was clamped, words that the model does not know
    notes: list[str]


class Sound(BaseModel):
    """A sound file of the folder; prompt and seed of those that were made here."""

    file: str
    seconds: float
    sample_rate: int
    prompt: str | None = None
    seed: int | None = None


def create_server(pipeline: Pipeline, root: Path) -> MCPServer:
    """The server of a model and a folder. EdgeAudioError if the folder is not there."""
    tools = _Tools(pipeline, Folder(root))
    manifest = pipeline.bundle.manifest
    server = MCPServer(
        "edge-audio", instructions=_INSTRUCTIONS, version=__version__, log_level="WARNING"
    )
    longest = f"{manifest.max_seconds:g} seconds at most"
    server.tool(
        description=f"Make a sound effect or music from a description ({longest}), as a new file."
    )(tools.text_to_sound_effects)
    server.tool(
        description=(
            "Make a changed copy of a sound of the folder: vary all of it (strength), make parts"
            " of it anew (replace), or go on after its end (extend)."
        )
    )(tools.edit_sound)
    server.tool(description="List the sounds of the folder.")(tools.list_sounds)
    return server


class _Tools:
    def __init__(self, pipeline: Pipeline, folder: Folder):
        self._pipeline, self._folder = pipeline, folder
        self._turn = anyio.Lock()

    async def text_to_sound_effects(
        self,
        text: Text,
        ctx: Context,
        duration_seconds: Annotated[Number, Field(gt=0)] | None = None,
        loop: Annotated[bool, Field(description="the end runs into the beginning")] = False,
        seed: Seed = None,
        file: NewFile = None,
    ) -> Made:
        """Make a sound."""
        settings: dict[str, Any] = {"seed": seed, "loop": loop or None}
        notes = self._set_seconds(settings, duration_seconds)
        return await self._made(Request(text, **settings), file, notes, ctx)

    async def edit_sound(
        self,
        file: Annotated[str, Field(description="the sound to change; it stays as it is")],
        text: Text,
        ctx: Context,
        strength: Annotated[
            Annotated[Number, Field(gt=0, le=1)] | None,
            Field(description="how far to go from it: 0.3 a little, 1 all the way"),
        ] = None,
        replace: Annotated[
            list[tuple[Number, Number]] | None,
            Field(max_length=32, description="seconds [from, to] that are made anew"),
        ] = None,
        extend: Annotated[
            Annotated[Number, Field(gt=0, le=600)] | None,
            Field(description="seconds to go on after its end"),
        ] = None,
        seed: Seed = None,
        output_file: NewFile = None,
    ) -> Made:
        """Change a sound."""
        try:
            source = self._folder.existing(file)
        except EdgeAudioError as error:
            raise ToolError(str(error)) from None
        request = Request(
            text,
            init=source,
            seed=seed,
            strength=strength,
            replace=tuple(replace or ()),
            extend=extend,
        )
        return await self._made(request, output_file, [], ctx)

    async def list_sounds(self) -> list[Sound]:
        """What lies there."""
        return await anyio.to_thread.run_sync(self._listed)

    def _set_seconds(self, settings: dict[str, Any], seconds: float | None) -> list[str]:
        """The duration, and what has to be said of it."""
        longest = self._pipeline.bundle.manifest.max_seconds
        settings["seconds"] = None if seconds is None else min(seconds, longest)
        if seconds is None or seconds <= longest:
            return []
        return [f"duration_seconds {seconds:g} was set to {longest:g}"]

    async def _made(
        self, request: Request, name: str | None, notes: list[str], ctx: Context
    ) -> Made:
        """Make the clip and write it; a call that is cancelled ends within a step."""
        stop, shown = threading.Event(), list[Progress]()

        def on_progress(progress: Progress) -> bool:
            shown[:] = [progress]
            return not stop.is_set()

        def make() -> Made | str:
            try:
                if name is not None:
                    self._folder.free(name)  # before it is made
                clip = self._pipeline.generate(request, progress=on_progress)
                if stop.is_set():
                    raise Cancelled("cancelled")
                return self._written(clip, name, notes)
            except EdgeAudioError as error:  # a group of tasks would wrap it
                return str(error)

        async with self._turn, _reporting(ctx, shown):
            try:
                made = await anyio.to_thread.run_sync(make, abandon_on_cancel=True)
            finally:
                stop.set()
        if isinstance(made, str):
            raise ToolError(made)
        return made

    def _written(self, clip: Clip, name: str | None, notes: list[str]) -> Made:
        seed = clip.recipe["seed"]
        name = name or self._folder.named_after(clip.recipe.get("prompt") or "", seed)
        path, stream = self._folder.free(name), io.BytesIO()
        clip.save(stream, format=path.suffix[1:].lower())
        try:
            with open(path, "xb") as file:  # over nothing, through no link
                file.write(stream.getvalue())
        except FileExistsError:
            raise EdgeAudioError(f"{name!r} is there already; give another name") from None
        except OSError as error:
            path.unlink(missing_ok=True)
            raise EdgeAudioError(f"{name!r} cannot be written ({error.strerror})") from None
        notes = [*notes, *(note.text for note in clip.notes)]
        return Made(
            file=name, seconds=clip.seconds, sample_rate=clip.sample_rate, seed=seed, notes=notes
        )

    def _listed(self) -> list[Sound]:
        import soundfile

        found: list[Sound] = []
        for path in self._folder.sounds():
            try:
                info = soundfile.info(path)
            except (OSError, RuntimeError, TypeError):
                continue  # only called so
            sound = Sound(
                file=self._folder.name(path), seconds=info.duration, sample_rate=info.samplerate
            )
            found.append(sound.model_copy(update=_recipe(path)))
            if len(found) == _MOST_LISTED:
                break
        return found


def _recipe(path: Path) -> dict[str, Any]:
    """Prompt and seed of a file that was made here."""
    try:
        recipe = Clip.recipe_of(path)
    except EdgeAudioError:
        return {}
    prompt, seed = recipe.get("prompt"), recipe.get("seed")
    is_ours = isinstance(prompt, str) and isinstance(seed, int)
    return {"prompt": prompt[:400], "seed": seed} if is_ours else {}  # type: ignore[index]


@asynccontextmanager
async def _reporting(ctx: Context, shown: list[Progress]) -> AsyncIterator[None]:
    """Tells the client now and then how far it is."""

    async def report() -> None:
        told: Progress | None = None
        count = 0
        while True:
            await anyio.sleep(_REPORT)
            if shown and shown[0] is not told:
                told, count = shown[0], count + 1
                message = f"{told.stage} {told.step} of {told.steps}"
                await ctx.report_progress(count, message=message)

    async with anyio.create_task_group() as group:
        group.start_soon(report)
        yield
        group.cancel_scope.cancel()
