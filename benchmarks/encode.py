"""Examples a minute that the encode stage tokenises, and its peak memory.

Two made-up sets of known shape stand for the real ones: MRQA's passages, as long as those of its six training sets
are (about half are cut to 512 tokens), and MetaMathQA's worked solutions.

    python -m benchmarks.encode --rows 20000 --kind mrqa
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from ptmoe.config.params import Params
from ptmoe.encoding.encoder import PromptEncoder
from ptmoe.encoding.task import write_encoded
from ptmoe.examples.example import Example
from ptmoe.examples.tables import collect, read_examples, write_examples
from ptmoe.rows.encoded import EncodedSet

# The pattern by which Llama 3 splits text before it looks for byte pairs.
LLAMA_3_PATTERN = "|".join(
    [
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)",
        r"[^\r\n\p{L}\p{N}]?\p{L}+",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    ]
)
SPECIAL = ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
# Rows of MRQA's six training sets by the mean length of their passages in word pieces.
PASSAGES = {157: 86588, 673: 74160, 999: 61688, 1083: 117384, 283: 72928, 275: 104071}
WORDS_PER_PIECE = 0.75
LONGEST_PASSAGE_WORDS = 800
MAX_LENGTH = {"mrqa": 512, "metamath": 768}
TASK = {"mrqa": "qa", "metamath": "math"}


def vocabulary(dice: random.Random) -> list[str]:
    """Invents 20,000 words of one to three syllables, the rarer the longer."""
    syllables = [
        first + second for first in "bcdfghjklmnprstvw" for second in ("a", "e", "i", "o", "u", "er", "in", "ot")
    ]
    return ["".join(dice.choices(syllables, k=1 + number * 3 // 20_000)) for number in range(20_000)]


def examples(kind: str, rows: int, seed: int = 0) -> Iterator[Example]:
    """Makes rows of the shape of a data set; words follow Zipf's law."""
    dice = random.Random(seed)
    words = vocabulary(dice)
    frequencies = list(itertools.accumulate(1 / rank for rank in range(1, len(words) + 1)))

    def text(length: int) -> str:
        return " ".join(dice.choices(words, cum_weights=frequencies, k=length))

    for number in range(rows):
        if kind == "mrqa":
            pieces = dice.choices(list(PASSAGES), list(PASSAGES.values()))[0] * dice.lognormvariate(0, 0.25)
            context = text(min(int(pieces * WORDS_PER_PIECE), LONGEST_PASSAGE_WORDS))
            target = " ".join(context.split()[7:9])
            yield Example(str(number), "D", f"{text(11)}?", context, [target], target, str(number))
        else:
            target = f"{text(100)} = {number}\n#### {number}\nThe answer is: {number}"
            yield Example(str(number), "D", f"{text(45)} {number}?", "", [str(number)], target, str(number))


def tokenizer(kind: str) -> PreTrainedTokenizerFast:
    """Trains a byte-level BPE of 32,000 tokens on the rows' own words, split as Llama 3 splits them."""
    core = Tokenizer(models.BPE(ignore_merges=True))
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(LLAMA_3_PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=32_000,
        special_tokens=[AddedToken(token, special=True) for token in SPECIAL],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator((f"{e.context} {e.question} {e.target}" for e in examples(kind, 3000, 1)), trainer)
    return PreTrainedTokenizerFast(tokenizer_object=core, bos_token=SPECIAL[0], eos_token=SPECIAL[3])


def main() -> None:
    """Prints one line: speed, lengths, peak memory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kind", choices=list(TASK), default="mrqa")
    parser.add_argument("--rows", type=int, default=20_000)
    arguments = parser.parse_args()
    template = Params.load().task(TASK[arguments.kind]).template
    made = tokenizer(arguments.kind)
    with tempfile.TemporaryDirectory() as folder:
        table, out = Path(folder) / "rows.parquet", Path(folder) / "rows.arrow"
        write_examples(table, collect(examples(arguments.kind, arguments.rows), Path(folder) / "examples.arrow"))
        started_s, busy_s = time.perf_counter(), time.process_time()
        encoder = PromptEncoder(made, template, MAX_LENGTH[arguments.kind], [made.convert_tokens_to_ids(SPECIAL[3])])
        statistics = write_encoded(read_examples([table], Path(folder)), encoder, True, out)
        took_s, busy_s = time.perf_counter() - started_s, time.process_time() - busy_s
        assert len(EncodedSet(out)) == statistics.rows
        size_mib = out.stat().st_size / 2**20
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    counts = statistics.summary()
    print(
        f"{arguments.kind}: {arguments.rows} rows in {took_s:.1f} s ({busy_s:.1f} s of CPU) on "
        f"{len(os.sched_getaffinity(0))} cores, {60 * arguments.rows / took_s:,.0f} examples a minute; "
        f"{counts['mean_length']} tokens a row, {counts['contexts_cut']} contexts cut; "
        f"peak memory {peak_mib:.0f} MiB, file {size_mib:.0f} MiB"
    )


if __name__ == "__main__":
    main()
