"""Five hundred malformed inputs, the same in every run: each is refused in one sentence, or right (`make faults`)."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.faults.campaign import campaign
from tests.faults.malformed import Malformed


def five_hundred(folder: Path):
    return campaign(Malformed(folder), 500, seed=0)


def test_each_is_refused_in_one_sentence_or_right(tmp_path):
    # In a process of its own: what other tests imported and replaced is not there.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        counts, failures = pool.submit(five_hundred, tmp_path).result()
    assert not failures, "\n".join(failures)
    # The inputs reach the commands: most are bad, and of each kind but the command lines some are sound.
    assert all(found["refused"] > 50 for found in counts.values())
    assert all(found["right"] > 2 for kind, found in counts.items() if kind != "commands")
