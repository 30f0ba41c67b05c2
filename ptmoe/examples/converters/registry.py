"""The converters by their names in sources.yaml; the columns of a file identify its form."""

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
