"""Our prompts are those of each family's own chat template, token for token."""

# ruff: noqa: RUF001, E501 - templates are shown in their families' own characters, a turn a line

from __future__ import annotations

import pytest

from ptmoe.config.params import TemplateParams
from ptmoe.encoding.encoder import PromptEncoder, Statistics
from ptmoe.examples.example import Example
from ptmoe.runtime.errors import BaseModelError
from tests.data.support import CHATML, CHATML_TEMPLATE, LLAMA_3, tokenizer_of

TEXT = "Which river runs through Barton?"
CUE = "Answer:"


def turns(user: str, assistant: str, opened: str, before: str = "", system: str = "") -> str:
    """A template of the usual shape; `@` is a turn's text."""
    user, assistant = (form.replace("@", "{{ m['content'] }}") for form in (user, assistant))
    system = "{% if messages[0]['role'] != 'system' %}" + system + "{% endif %}" if system else ""
    return (
        f"{before}{system}{{% for m in messages %}}{{% if m['role'] == 'user' %}}{user}{{% else %}}{assistant}"
        f"{{% endif %}}{{% endfor %}}{{% if add_generation_prompt %}}{opened}{{% endif %}}"
    )


def chatml(before: str = "", system: str = "", after: str = "") -> str:
    opened = "<|im_start|>assistant\n" + after
    return turns("<|im_start|>user\n@<|im_end|>\n", "<|im_start|>assistant\n@<|im_end|>\n", opened, before, system)


BOS = "{{ bos_token }}"
THINK = "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}"
# family: special tokens (the first begins a text where the template or the tokenizer has one), begin, end, template.
FAMILIES: dict[str, tuple[list[str], str | None, str, str]] = {
    "llama2": (["<s>", "</s>"], "<s>", "</s>", turns(BOS + "[INST] @ [/INST]", " @ </s>", "")),
    "qwen2": (
        CHATML,
        None,
        "<|im_end|>",
        chatml(system="<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"),
    ),
    "qwen3": (CHATML, None, "<|im_end|>", chatml(after=THINK)),
    "mistral_v1": (["<s>", "</s>"], "<s>", "</s>", turns("[INST] @ [/INST]", " @</s>", "", BOS)),
    "mistral_v3": (["<s>", "</s>", "[INST]", "[/INST]"], "<s>", "</s>", turns("[INST] @[/INST]", " @</s>", "", BOS)),
    "gemma": (
        ["<bos>", "<start_of_turn>", "<end_of_turn>"],
        "<bos>",
        "<end_of_turn>",
        turns(
            "<start_of_turn>user\n@<end_of_turn>\n",
            "<start_of_turn>model\n@<end_of_turn>\n",
            "<start_of_turn>model\n",
            BOS,
        ),
    ),
    "gemma3": (
        ["<bos>", "<start_of_turn>", "<end_of_turn>"],
        "<bos>",
        "<end_of_turn>",
        turns("<start_of_turn>user\n@<end_of_turn>\n", "<start_of_turn>model\n@<end_of_turn>\n", "<start_of_turn>model\n")
        .replace("m['content']", "m['content'] | trim")
        .replace("{% for", BOS + "{% for", 1),
    ),
    "phi3": (
        ["<s>", "<|user|>", "<|assistant|>", "<|end|>", "<|endoftext|>"],
        "<s>",
        "<|end|>",
        turns("<|user|>\n@<|end|>\n", "<|assistant|>\n@<|end|>\n", "<|assistant|>\n"),
    ),
    "phi4": (
        ["<|im_start|>", "<|im_sep|>", "<|im_end|>", "<|endoftext|>"],
        "<|endoftext|>",
        "<|im_end|>",
        turns("<|im_start|>user<|im_sep|>@<|im_end|>", "<|im_start|>assistant<|im_sep|>@<|im_end|>", "<|im_start|>assistant<|im_sep|>"),
    ),
    "zephyr": (["<s>", "</s>"], "<s>", "</s>", turns("<|user|>\n@</s>\n", "<|assistant|>\n@</s>\n", "<|assistant|>\n")),
    "vicuna": (["<s>", "</s>"], "<s>", "</s>", turns("USER: @ ", "ASSISTANT: @</s>", "ASSISTANT:", BOS)),
    "command_r": (
        ["<BOS_TOKEN>", "<|START_OF_TURN_TOKEN|>", "<|END_OF_TURN_TOKEN|>", "<|USER_TOKEN|>", "<|CHATBOT_TOKEN|>"],
        "<BOS_TOKEN>",
        "<|END_OF_TURN_TOKEN|>",
        turns(
            "<|START_OF_TURN_TOKEN|><|USER_TOKEN|>@<|END_OF_TURN_TOKEN|>",
            "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>@<|END_OF_TURN_TOKEN|>",
            "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>",
            BOS,
        ),
    ),
    "deepseek": (
        ["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"],
        "<｜begin▁of▁sentence｜>",
        "<｜end▁of▁sentence｜>",
        turns("User: @\n\n", "Assistant: @<｜end▁of▁sentence｜>", "Assistant:", BOS),
    ),
    "deepseek_r1": (
        ["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>"],
        "<｜begin▁of▁sentence｜>",
        "<｜end▁of▁sentence｜>",
        turns("<｜User｜>@", "<｜Assistant｜>@<｜end▁of▁sentence｜>", "<｜Assistant｜><think>\n", BOS),
    ),
    "falcon": (["<|endoftext|>"], None, "<|endoftext|>", turns("User: @\n", "Falcon: @<|endoftext|>\n", "Falcon:")),
    "olmo2": (
        ["<|endoftext|>"],
        "<|endoftext|>",
        "<|endoftext|>",
        turns("<|user|>\n@\n", "<|assistant|>\n@<|endoftext|>\n", "<|assistant|>\n", BOS),
    ),
    "granite": (
        ["<|start_of_role|>", "<|end_of_role|>", "<|end_of_text|>"],
        "<|end_of_text|>",
        "<|end_of_text|>",
        turns(
            "<|start_of_role|>user<|end_of_role|>@<|end_of_text|>\n",
            "<|start_of_role|>assistant<|end_of_role|>@<|end_of_text|>\n",
            "<|start_of_role|>assistant<|end_of_role|>",
        ),
    ),
    "smollm2": (CHATML, "<|im_start|>", "<|im_end|>", chatml(system="<|im_start|>system\nYou help.<|im_end|>\n")),
    "smollm3": (CHATML, None, "<|im_end|>", chatml(after=THINK)),
    "internlm2": (["<s>", *CHATML], "<s>", "<|im_end|>", chatml(before=BOS)),
    "yi": (["<|startoftext|>", *CHATML], "<|startoftext|>", "<|im_end|>", chatml()),
    "stablelm": (
        ["<|endoftext|>"],
        "<|endoftext|>",
        "<|endoftext|>",
        turns("<|user|>\n@<|endoftext|>\n", "<|assistant|>\n@<|endoftext|>\n", "<|assistant|>\n"),
    ),
    "solar": (["<s>", "</s>"], "<s>", "</s>", turns("### User:\n@\n\n", "### Assistant:\n@</s>", "### Assistant:\n")),
    # A ChatML template in a vocabulary that also holds Llama 3's header tokens.
    "chatml_on_llama3": ([*LLAMA_3, *CHATML], "<|begin_of_text|>", "<|im_end|>", chatml(before=BOS)),
}  # fmt: skip
LLAMA_3_TEMPLATE = turns(
    "<|start_header_id|>user<|end_header_id|>\n\n@<|eot_id|>",
    "<|start_header_id|>assistant<|end_header_id|>\n\n@<|eot_id|>",
    "<|start_header_id|>assistant<|end_header_id|>\n\n",
    BOS,
)


def tokenizer_for(family: str):
    special, bos, eos, template = FAMILIES[family]
    return tokenizer_of(special, template, bos=bos, eos=eos)


def prompt(tokenizer, enable_thinking: bool | None = None, targets: bool = False) -> list[int]:
    template = TemplateParams(instruction="", input="{question}", cue=CUE, enable_thinking=enable_thinking)
    encoder = PromptEncoder(tokenizer, template, 512, [tokenizer.eos_token_id])
    example = Example(id="1", dataset="D", question=TEXT, context="", answers=["a"], target="Alder", group="g")
    return encoder.encode([example], targets, Statistics())[0].input_ids.tolist()


def rendered(tokenizer, **options) -> list[int]:
    """The template's own ids of the question and the opened answer, then the cue."""
    messages = [{"role": "user", "content": TEXT}]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True, **options)
    return tokenizer(text + CUE, add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize("family", FAMILIES)
def test_prompts_are_those_of_the_familys_template(family):
    tokenizer = tokenizer_for(family)
    assert prompt(tokenizer) == rendered(tokenizer)
    assert prompt(tokenizer, targets=True)[-1] == tokenizer.eos_token_id


def test_llama3s_own_template_gives_the_papers_prompt():
    tokenizer = tokenizer_of(LLAMA_3, LLAMA_3_TEMPLATE, bos="<|begin_of_text|>", eos="<|eot_id|>")
    assert prompt(tokenizer) == rendered(tokenizer)
    dated = LLAMA_3_TEMPLATE.replace(
        BOS, BOS + "<|start_header_id|>system<|end_header_id|>\n\nToday Date: {{ strftime_now('%d') }}<|eot_id|>", 1
    )
    with_system = tokenizer_of(LLAMA_3, dated, bos="<|begin_of_text|>", eos="<|eot_id|>")
    assert prompt(with_system) == prompt(tokenizer)


@pytest.mark.parametrize("thinking", [True, False])
@pytest.mark.parametrize("family", ["qwen3", "smollm3"])
def test_thinking_is_switched_as_the_template_switches_it(family, thinking):
    tokenizer = tokenizer_for(family)
    assert prompt(tokenizer, thinking) == rendered(tokenizer, enable_thinking=thinking)
    assert (prompt(tokenizer, thinking) == prompt(tokenizer)) == thinking


def test_a_switch_that_the_template_has_not_is_refused():
    for template in (CHATML_TEMPLATE, ""):
        with pytest.raises(BaseModelError, match=r"enable_thinking.*remove the key"):
            prompt(tokenizer_of(CHATML, template, eos="<|im_end|>"), False)


def test_the_default_base_keeps_its_prompt(project_root):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(project_root / "ptmoe" / "tiny_base")
    wanted = (
        f"<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n{TEXT}<|eot_id|>"
        f"<|start_header_id|>assistant<|end_header_id|>\n\n{CUE}"
    )
    assert prompt(tokenizer) == tokenizer(wanted, add_special_tokens=False)["input_ids"]
