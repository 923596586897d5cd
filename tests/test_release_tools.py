"""What the release workflow runs, on a small project: a wrong tag is refused in time."""

import importlib.util
import subprocess
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CHANGELOG = """# Changelog

## Unreleased

## 0.2.0 (2026-12-01)

- A first line that is
  wrapped ([docs/serve.md](docs/serve.md), [away](https://example.org/a)).
- A second:
  - a part of it

## 0.1.0

- Old.
"""


@pytest.fixture(scope="module")
def release():
    spec = importlib.util.spec_from_file_location("release", ROOT / ".ci" / "release.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def project(tmp_path):
    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    write("CHANGELOG.md", CHANGELOG)
    write("edge_audio/version.py", '__version__ = "0.2.0"\n')
    write("android_demo/app/build.gradle.kts", '    versionName = "0.2.0"\n')
    write("models/pocket/manifest.json", "{}")
    write("models/pocket/dit.int8.tflite", "graph")
    write("models/training/train.py", "")
    return tmp_path


def test_a_tag_that_fits(release, project):
    assert release.check("v0.2.0", project) == "0.2.0"


@pytest.mark.parametrize(
    ("file", "old", "new", "tag", "said"),
    [
        (None, "", "", "0.2.0", "is no tag of a release"),
        (None, "", "", "v0.2", "is no tag of a release"),
        (None, "", "", "v0.3.0", "edge_audio/version.py says 0.2.0, the tag 0.3.0"),
        ("android_demo/app/build.gradle.kts", "0.2.0", "0.1.0", "v0.2.0", "build.gradle.kts says"),
        ("edge_audio/version.py", "__version__", "VERSION", "v0.2.0", "names no version"),
        ("CHANGELOG.md", "## 0.2.0", "## 0.2.1", "v0.2.0", "says nothing of 0.2.0"),
        ("CHANGELOG.md", "## 0.1.0", "## 0.2.0", "v0.2.0", "two sections"),
        ("CHANGELOG.md", "## Unreleased\n", "## Unreleased\n\n- new\n", "v0.2.0", "move them"),
    ],
)
def test_what_does_not_fit_the_tag_is_said(release, project, file, old, new, tag, said):
    if file:
        text = (project / file).read_text(encoding="utf-8")
        (project / file).write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(release.Refused, match=said):
        release.check(tag, project)


def test_notes_are_the_section_with_its_links_and_without_its_line_breaks(release, project):
    base = "https://github.com/owner/name/blob/v0.2.0/"
    assert release.notes("v0.2.0", "owner/name", project) == (
        f"- A first line that is wrapped ([docs/serve.md]({base}docs/serve.md),"
        " [away](https://example.org/a)).\n- A second:\n  - a part of it\n"
    )


def test_models_are_packed_the_same_way_each_time(release, project, tmp_path):
    (made,) = release.bundles("v0.2.0", tmp_path / "one", project)
    (again,) = release.bundles("v0.2.0", tmp_path / "two", project)
    assert made.name == "edge-audio-pocket-0.2.0.tar.gz" and made.read_bytes() == again.read_bytes()
    with tarfile.open(made) as archive:
        folder = "edge-audio-pocket-0.2.0"
        assert archive.getnames() == [f"{folder}/dit.int8.tflite", f"{folder}/manifest.json"]
    release.sums(made.parent)
    subprocess.run(["sha256sum", "--check", "SHA256SUMS"], cwd=made.parent, check=True)


def test_this_repository_is_ready_for_its_version(release):
    """All but the lines under Unreleased, which a release moves."""
    from edge_audio import __version__

    for name in release.VERSIONS:
        assert f'"{__version__}"' in (ROOT / name).read_text(encoding="utf-8")
    assert __version__ in release.sections()
