"""The converters by the names that sources.yaml uses; a file's columns tell which of its forms it has."""

from __future__ import annotations

from ptmoe.examples.converters.arithmetic import ASDIV, GSM8K, MAWPS, METAMATH, SVAMP
from ptmoe.examples.converters.competition import COMPETITION
from ptmoe.examples.converters.forms import Form
from ptmoe.examples.converters.own import OWN
from ptmoe.examples.converters.reading import READING

CONVERTERS: dict[str, tuple[Form, ...]] = {
    "own": OWN,
    "reading": READING,
    "gsm8k": GSM8K,
    "metamath": METAMATH,
    "svamp": SVAMP,
    "mawps": MAWPS,
    "asdiv": ASDIV,
    "competition": COMPETITION,
}
