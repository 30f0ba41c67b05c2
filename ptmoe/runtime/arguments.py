"""Types of command-line options; a wrong value is one sentence of argparse."""

from __future__ import annotations

import argparse


def count(text: str) -> int:
    """Reads a whole number from 1."""
    if not (text.isascii() and text.isdecimal()) or len(text) > 18 or int(text) == 0:
        raise argparse.ArgumentTypeError(f"got {text!r:.40}; allowed: whole numbers from 1")
    return int(text)
