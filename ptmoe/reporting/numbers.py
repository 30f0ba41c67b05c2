"""How the report writes numbers: on the page, in Markdown, in a terminal and in CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path

from ptmoe.runtime.files import write_text
from ptmoe.statistics.estimates import Estimate

NOTHING = "\u2013"


def percents(estimate: Estimate) -> list[float]:
    """Returns value, low and high in percent with two decimals."""
    return [round(100 * number, 2) for number in (estimate.value, estimate.low, estimate.high)]


def fixed(value: float | None, digits: int) -> str:
    """Returns a number with so many decimals; a dash where there is none."""
    return NOTHING if value is None or math.isnan(value) else f"{value:,.{digits}f}"


def shown(estimate: Estimate, with_interval: bool = False) -> str:
    """Returns a score in percent, with its interval on request; a dash where there is none."""
    value = fixed(percents(estimate)[0], 2)
    return f"{value} ({interval(estimate)})" if with_interval and value != NOTHING else value


def interval(estimate: Estimate) -> str:
    """Returns the ends of a score's interval in percent; a dash where there is none."""
    value, low, high = percents(estimate)
    return NOTHING if math.isnan(value) else f"{low:.1f} to {high:.1f}"


def size(number: int | None) -> str:
    """Returns a number of bytes for people; a dash where there is none."""
    if number is None:
        return NOTHING
    return f"{number / 1e6:.2f} MB" if number >= 1e5 else f"{number / 1e3:.1f} kB"


def points(difference: Estimate) -> str:
    """Returns a difference in points, with its sign and interval."""
    value, low, high = percents(difference)
    return f"{value:+.1f} ({low:+.1f} to {high:+.1f})"


def p_value(p: float) -> str:
    """Returns a p-value with three decimals; smaller ones as a bound."""
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def as_text(table: Sequence[Sequence[str]]) -> str:
    """Formats a table for a terminal: the first two columns left-aligned, numbers right-aligned."""
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    lines = (
        "  ".join(
            cell.ljust(width) if at < 2 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in table
    )
    return "\n".join(line.rstrip() for line in lines)


def as_markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a Markdown table whose first column is text and whose others are numbers."""
    align = [":--", *["--:"] * (len(header) - 1)]
    return "".join(f"| {' | '.join(row)} |\n" for row in [header, align, *rows])


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Writes rows with Unix line ends; floats have at most six significant digits, None and NaN are empty."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([[_cell(value) for value in row] for row in rows])
    write_text(path, buffer.getvalue())


def _cell(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
