"""What the documentation site has beside docs/: pages whose text stands elsewhere in the
repository, files that pages link to, and in the API the comments above fields.

Links are written as a forge follows them, relative to the file that they stand in. Here they are
turned into those of the site: to another page, or to a page made of the source file that is meant.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent
#: pages of the site -> the files that they are made of
PAGES = {
    "index.md": "README.md",
    "phone.md": "android_demo/README.md",
    "pocket.md": "models/pocket/MODEL_CARD.md",
    "changelog.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
    "security.md": "SECURITY.md",
}
LANGUAGES = {".py": "python", ".yaml": "yaml", ".service": "ini", ".conf": "nginx"}
LINK = re.compile(r"(\]\()([^)#\s]+)(#[^)\s]*)?(\))")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for page, source in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text))
    for file in list(files.documentation_pages()):
        for link in LINK.finditer(file.content_string):
            path = _in_repository(file.src_uri, link[2]) or ""
            target = _in_site(path)
            is_new = target.startswith("source/") and not files.get_file_from_path(target)
            if is_new and (ROOT / path).is_file():  # else MkDocs warns of a link that leads nowhere
                files.append(File.generated(config, target, content=_listing(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    def followed(link: re.Match[str]) -> str:
        path = _in_repository(page.file.src_uri, link[2])
        if path is None:
            return link[0]
        target = posixpath.relpath(_in_site(path), posixpath.dirname(page.file.src_uri) or ".")
        return f"{link[1]}{target}{link[3] or ''}{link[4]}"

    return markdown if page.file.src_uri.startswith("source/") else LINK.sub(followed, markdown)


def _in_repository(page: str, link: str) -> str | None:
    """The file that a page's link means, from the repository's root; None for another host's."""
    if re.match(r"[a-z]+:", link):
        return None
    source = PAGES.get(page, f"docs/{page}")
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), link))


def _in_site(path: str) -> str:
    """Where a file of the repository lies in the site."""
    for page, source in PAGES.items():
        if path == source:
            return page
    if path.startswith("docs/") and not path.startswith("docs/serve/"):
        return path.removeprefix("docs/")
    return f"source/{path}.md"


def _listing(path: str) -> str:
    """A page that shows a source file."""
    file = ROOT / path
    language = LANGUAGES.get(file.suffix, "text")
    return f"# {path}\n\n````{language}\n{file.read_text(encoding='utf-8')}\n````\n"


class FieldComments(griffe.Extension):
    """`#:` above a field is its docstring, as Sphinx reads it."""

    def on_attribute_instance(self, *, attr: griffe.Attribute, **others: object) -> None:
        if attr.docstring or attr.lineno is None:
            return
        lines = Path(str(attr.filepath)).read_text(encoding="utf-8").splitlines()
        begin = end = attr.lineno - 1
        while lines[begin - 1].lstrip().startswith("#:"):
            begin -= 1
        if begin < end:
            text = "\n".join(line.lstrip().removeprefix("#:").strip() for line in lines[begin:end])
            attr.docstring = griffe.Docstring(text, lineno=begin + 1, parent=attr)
