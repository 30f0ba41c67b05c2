"""Five hundred malformed inputs, the same in every run: each is refused in one sentence, or right (`make faults`)."""

from tests.faults.campaign import campaign
from tests.faults.malformed import Malformed


def test_each_is_refused_in_one_sentence_or_right(tmp_path):
    counts, failures = campaign(Malformed(tmp_path), 500, seed=0)
    assert not failures, "\n".join(failures)
    # The inputs reach the commands: most are bad, and of each kind but the command lines some are sound.
    assert all(found["refused"] > 50 for found in counts.values())
    assert all(found["right"] > 2 for kind, found in counts.items() if kind != "commands")
