"""What the site needs beyond the documents as they are read on a code host."""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
# Files outside docs/ that documents link to; the site holds a copy of each.
LINKED = ("params.yaml", "ptmoe/sources/sources.yaml", "CONTRIBUTING.md")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the linked files."""
    for name in LINKED:
        shown = name if name.endswith(".md") else f"{name}.txt"
        files.append(File.generated(config, shown, content=(ROOT / name).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Points links at the copies, and sets lists apart from the line before them, as this Markdown wants it."""
    for name in LINKED:
        shown = name if name.endswith(".md") else f"{name}.txt"
        # The copy is one folder nearer than the file: docs/ is the root of the site.
        markdown = re.sub(rf"\]\(\.\./((?:\.\./)*){re.escape(name)}(#[^)]*)?\)", rf"](\1{shown}\2)", markdown)
    markdown = markdown.replace("](docs/", "](")
    return re.sub(r"(?m)^((?![-*\s|#>`\d]).+)\n(?=- )", r"\1\n\n", markdown)
