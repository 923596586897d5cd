"""What a release is made of, by its tag: the workflow `release` runs these, and so can anyone.

python .ci/release.py check v0.2.0              # does everything say this version?
python .ci/release.py notes v0.2.0 [--repository OWNER/NAME]     # its section of the changelog
python .ci/release.py bundles v0.2.0 dist       # archives of the models, beside wheel and sdist
python .ci/release.py sums dist                 # SHA256SUMS of all that lies there
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import re
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
#: what a tag may say: 1.2.3, or 1.2.3rc1 for a release candidate
TAG = re.compile(r"v(\d+\.\d+\.\d+(?:rc\d+)?)")
UNRELEASED = "Unreleased"
SUMS = "SHA256SUMS"
#: file -> the line in it that names the version
VERSIONS = {
    "edge_audio/version.py": r'^__version__ = "(.+)"$',
    "android_demo/app/build.gradle.kts": r'^\s*versionName = "(.+)"$',
}


class Refused(Exception):
    """Why this cannot be released, and what to do."""


def version_of(tag: str) -> str:
    """The version that a tag names."""
    match = TAG.fullmatch(tag)
    if not match:
        raise Refused(f"{tag!r} is no tag of a release; name it v1.2.3 or v1.2.3rc1")
    return match[1]


def check(tag: str, root: Path = ROOT) -> str:
    """The version, if the files and the changelog are ready for it."""
    version = version_of(tag)
    for name, line in VERSIONS.items():
        found = re.search(line, (root / name).read_text(encoding="utf-8"), re.MULTILINE)
        if not found or found[1] != version:
            said = f"says {found[1]}" if found else "names no version"
            raise Refused(f"{name} {said}, the tag {version}; change the file and tag that commit")
    section(tag, root)
    if sections(root).get(UNRELEASED, "").strip():
        raise Refused(f"CHANGELOG.md has lines under {UNRELEASED}; move them under {version}")
    return version


def sections(root: Path = ROOT) -> dict[str, str]:
    """Version -> text of the changelog. A heading may go on with a date: `## 0.2.0 (2026-12)`."""
    text = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    parts = re.split(r"^## (\S+).*$", text, flags=re.MULTILINE)
    names = parts[1::2]
    if len(names) != len(set(names)):
        raise Refused("CHANGELOG.md has two sections of one version; join them")
    return dict(zip(names, parts[2::2]))


def section(tag: str, root: Path = ROOT) -> str:
    """What the changelog says of a version."""
    version = version_of(tag)
    text = sections(root).get(version, "").strip()
    if not text:
        raise Refused(f"CHANGELOG.md says nothing of {version}; write a section ## {version}")
    return text


def notes(tag: str, repository: str | None = None, root: Path = ROOT) -> str:
    """The section as a page of its own: a paragraph a line, since a release's page breaks lines
    where the text does; links to files lead to the tag.
    """
    text = re.sub(r"(?<=\S)\n +(?![-*] )(?=\S)", " ", section(tag, root))
    if repository:
        base = f"https://github.com/{repository}/blob/{tag}/"
        text = re.sub(r"\]\((?![a-z]+:|#)(?:\./)?", f"]({base}", text)
    return text + "\n"


def bundles(tag: str, out: Path, root: Path = ROOT) -> list[Path]:
    """An archive of every model in models/ that has a manifest, the same bytes each time."""
    version, made = version_of(tag), []
    out.mkdir(parents=True, exist_ok=True)
    for manifest in sorted(root.glob("models/*/manifest.json")):
        folder = manifest.parent
        name = f"edge-audio-{folder.name}-{version}"
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                entry = tarfile.TarInfo(f"{name}/{path.relative_to(folder).as_posix()}")
                entry.size, entry.mode = path.stat().st_size, 0o644
                with path.open("rb") as file:
                    archive.addfile(entry, file)
        made.append(out / f"{name}.tar.gz")
        made[-1].write_bytes(gzip.compress(packed.getvalue(), 6, mtime=0))
    return made


def sums(out: Path) -> Path:
    """SHA256SUMS, as `sha256sum --check` reads it."""
    files = sorted(path for path in out.iterdir() if path.is_file() and path.name != SUMS)
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (out / SUMS).write_text("".join(lines), encoding="utf-8", newline="\n")
    return out / SUMS


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0, or 1 after one line on stderr."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("check", "notes", "bundles"):
        commands.add_parser(name).add_argument("tag")
    commands.choices["notes"].add_argument("--repository", metavar="OWNER/NAME")
    commands.choices["bundles"].add_argument("out", type=Path)
    commands.add_parser("sums").add_argument("out", type=Path)
    given = parser.parse_args(arguments)
    try:
        if given.command == "check":
            print(check(given.tag))
        elif given.command == "notes":
            print(notes(given.tag, given.repository), end="")
        elif given.command == "bundles":
            print(*bundles(given.tag, given.out), sep="\n")
        else:
            print(sums(given.out))
    except Refused as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
