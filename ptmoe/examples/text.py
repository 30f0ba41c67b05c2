"""Normal forms of texts, by which duplicates are found and groups are named."""

from __future__ import annotations

import hashlib
import re
import unicodedata

_NOT_WORDS = re.compile(r"[\W_]+")
DIGEST_LENGTH = 16


def one_line(text: str) -> str:
    """Replaces every run of white space by one space: the group key of MetaMathQA's questions and of passages."""
    return " ".join(text.split())


def normalised(text: str) -> str:
    """Folds case, width and punctuation, so that trivial rewritings of a question compare as equal."""
    return _NOT_WORDS.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip()


def digest(*texts: str) -> str:
    """Returns 16 hex digits that name the texts; the same on every machine."""
    return hashlib.sha256("\x1f".join(texts).encode()).hexdigest()[:DIGEST_LENGTH]
