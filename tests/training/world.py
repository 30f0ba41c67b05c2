"""A whole small project in a folder: base model, encoded rows, text init, and the calls that train and answer."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from ptmoe.base.model import prepare_base
from ptmoe.config.params import BaseParams, GenerateParams, TrainParams
from ptmoe.rows.encoded import Encoded
from ptmoe.tuning.registry import method_params
from ptmoe.tuning.text_init import write_text_init
from tests.models.bases import VOCABULARY, tiny_base
from tests.rows import list_rows, write_rows

END = 2
PARAMS: dict[str, dict[str, Any]] = {
    "untuned": {},
    "ft": {},
    "lora": {"rank": 2, "alpha": 4, "target_modules": ["q_proj", "v_proj"]},
    "hydralora": {
        "rank": 2,
        "alpha": 4,
        "num_experts": 2,
        "router_bias": False,
        "router_learning_rate": 1.0,
        "router_temperature": 1.0,
        "target_modules": ["q_proj", "v_proj"],
    },
    "pt": {"prompt_length": 4},
    "ptmoe": {
        "prompt_length": 4,
        "num_experts": 2,
        "rank": 3,
        "svd_padding": "seeded",
        "selective": True,
        "probationary": True,
        "router_noise": 0.5,
        "router_bias": True,
        "router_init": "orthogonal",
        "router_input": "prompt",
        "expert_init_noise": 0.1,
        "router_learning_rate": 1.0,
        "router_refits": [],
        "balance_loss": 0.0,
    },
}
PARAMS["ptmoe_routed"] = PARAMS["ptmoe"] | {
    "router_init": "gradients",
    "router_learning_rate": 0.0,
    "router_refits": [3],
}
TRAIN = TrainParams(
    eval_steps=3,
    save_steps=2,
    log_steps=2,
    keep="best",
    warmup_steps=2,
    schedule="constant_with_warmup",
    weight_decay=0.01,
    max_grad_norm=1.0,
    micro_batch_size=3,
    loss_on="answer",
    batches="grouped",
    gradient_checkpointing=False,
    compile=False,
    liger=False,
    devices=1,
    deepspeed="off",
)


def random_rows(count: int, seed: int, with_targets: bool = True, dataset: str = "A") -> list[Encoded]:
    """Rows of 6 to 30 tokens that ask for a token of their own, so that there is something to learn."""
    generator, rows = np.random.default_rng(seed), []
    for number in range(count):
        prompt = generator.integers(3, VOCABULARY, generator.integers(6, 27))
        prompt[0] = 1
        answer = [int(prompt[2]), END] if with_targets else []
        ids = np.array([*prompt, *answer], dtype=np.int32)
        rows.append(Encoded(f"{dataset}{number}", dataset, ids, len(prompt), 2, len(prompt) - 1, [f"w{prompt[2]}"]))
    return rows


def write_tokenizer(folder: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {"<pad>": 0, "<s>": 1, "</s>": 2} | {f"w{index}": index for index in range(3, VOCABULARY)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    ).save_pretrained(folder)


class World:
    """Paths and calls; everything lies under `root`."""

    def __init__(
        self, root: Path, rows: int = 24, dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    ) -> None:
        self.root = self.inputs = root
        self.base_dir, self.encoded = root / "base", root / "encoded"
        self.init_file = root / "init.safetensors"
        weights = root / "weights"
        tiny_base().save_pretrained(weights)
        write_tokenizer(weights)
        name = BaseParams(name=str(weights), revision="local", dtype=dtype, attention="sdpa", trust_remote_code=False)
        prepare_base(name, self.base_dir)
        write_text_init("w5 w6 w7 w8 w9", self.base_dir, self.init_file)
        write_rows(self.encoded / "train.arrow", random_rows(rows, 1))
        write_rows(self.encoded / "validation.arrow", random_rows(7, 2))
        write_rows(self.encoded / "test" / "A.arrow", random_rows(9, 3, with_targets=False))
        write_rows(self.encoded / "test" / "B" / "x.arrow", random_rows(5, 4, with_targets=False, dataset="B/x"))
        list_rows(self.encoded)

    @classmethod
    def reopened(cls, root: Path) -> World:
        """A world that another process has made."""
        world = cls.__new__(cls)
        world.root = world.inputs = root
        world.base_dir, world.encoded = root / "base", root / "encoded"
        world.init_file = root / "init.safetensors"
        return world

    def writing_to(self, folder: Path) -> World:
        """The same inputs with another folder for outputs."""
        other = copy.copy(self)
        other.root = folder
        return other

    def arguments(
        self, method: str, out: str = "out", batch_size: int = 8, steps: int = 6, **changes: Any
    ) -> dict[str, Any]:
        """The arguments of `train_cell`; `changes` are keys of `train`."""
        return {
            "task": "qa",
            "method_name": method,
            "seed": 0,
            "method_params": method_params(method, PARAMS[method]),
            "train": TRAIN.model_copy(update=changes),
            "steps": steps,
            "batch_size": batch_size,
            "learning_rate": 0.05,
            "base_dir": self.base_dir,
            "encoded_dir": self.encoded,
            "init_file": self.init_file,
            "adapter_dir": self.root / out / f"qa-{method}-0",
            "log_file": self.root / out / f"qa-{method}-0.tsv",
        }

    def train(self, method: str, out: str = "out", **changes: Any) -> tuple[bytes, str]:
        """Trains and returns the adapter's bytes and its log."""
        from ptmoe.training.cell import TrainJob, train_cell

        arguments = self.arguments(method, out, **changes)
        train_cell(TrainJob(**arguments))
        weights = arguments["adapter_dir"] / "adapter_model.safetensors"
        return weights.read_bytes(), arguments["log_file"].read_text()

    def answer(
        self,
        method: str,
        out: str = "out",
        budget: int = 200,
        devices: int = 1,
        forced_experts: bool = False,
    ) -> Path:
        """Answers the test rows and returns the file."""
        from ptmoe.generation.cell import GenerateJob, generate_cell

        file = self.root / out / f"qa-{method}-0.parquet"
        job = GenerateJob(
            base_dir=self.base_dir,
            encoded_dir=self.encoded,
            adapter_dir=self.root / out / f"qa-{method}-0",
            generate=GenerateParams(forced_experts=forced_experts, max_batch_tokens=budget, devices=devices),
            max_new_tokens=6,
            out_file=file,
        )
        generate_cell(job)
        return file


torch.set_num_threads(1)
