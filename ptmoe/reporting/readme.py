"""The README's result table: the leaderboard between two markers."""

from __future__ import annotations

from pathlib import Path

from ptmoe.runtime.errors import ScoringError
from ptmoe.runtime.files import write_text

BEGIN, END = "<!-- leaderboard -->", "<!-- /leaderboard -->"


def update_readme(readme: Path, leaderboard: Path) -> bool:
    """Replaces the text between the markers by the leaderboard; tells whether the file changed.

    Raises:
        ScoringError: a file is missing, or does not have each marker once, in order.
    """
    for path in (readme, leaderboard):
        if not path.exists():
            raise ScoringError(f"{path} is missing" + ("; run `dvc repro report`" if path == leaderboard else ""))
    text = readme.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ScoringError(f"{readme} must hold {BEGIN} and, after it, {END}, once each")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    updated = f"{before}{BEGIN}\n\n{leaderboard.read_text().strip()}\n\n{END}{after}"
    if updated != text:
        write_text(readme, updated)
    return updated != text
