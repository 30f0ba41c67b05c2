"""Turns a task's template into a conversation in the format that a base model was tuned on.

The paper's prompt (appendix A.1) is one user turn and the start of the assistant's, between Llama 3's header
tokens, without a system turn. It is built to the letter where the tokenizer's chat template writes these tokens, or
has them and no chat template; any other chat template is followed as it is, begin token included; without chat
template and tokens the prompt is plain text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ptmoe.runtime.errors import BaseModelError
from ptmoe.runtime.stopping import time_limit

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from ptmoe.config.params import TemplateParams

_LLAMA_3 = ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
RENDER_S, RENDERED_CHARACTERS = 10.0, 1 << 20
_MARK = "\ue000\ue001"
_FIELD = re.compile(r"\{(context|question)\}")
# Some chat templates print today's date, which would change the token ids from day to day.
_FIXED_DATE = "{% macro strftime_now(form) %}26 Jul 2024{% endmacro %}"


@dataclass(frozen=True)
class Conversation:
    """The text around the user's text.

    Attributes:
        kind: `llama3`, `chat` or `plain`.
        before: the text before the user's.
        after: the text between the user's and the answer; ends with the cue.
        end_of_turn: the token id that ends an answer.
    """

    kind: str
    before: str
    after: str
    end_of_turn: int


def conversation(
    tokenizer: PreTrainedTokenizerBase, cue: str, eos_token_ids: list[int], enable_thinking: bool | None = None
) -> Conversation:
    """Finds the form of conversation for a tokenizer.

    Args:
        cue: how the assistant's turn begins.
        eos_token_ids: the tokens at which generation stops; the end of turn is one of them.
        enable_thinking: given to a chat template that knows this name; None leaves it to the template.

    Raises:
        BaseModelError: the chat template cannot show a user turn as it is.
    """
    vocabulary = tokenizer.get_vocab()
    before = after = ""
    if enable_thinking is not None and not tokenizer.chat_template:
        raise BaseModelError("template.enable_thinking: the base has no chat template; remove the key")
    if tokenizer.chat_template:
        user = {"role": "user", "content": _MARK}
        before, found, after = _rendered(tokenizer, [user], True, enable_thinking).partition(_MARK)
        if not found or _MARK in after:
            raise BaseModelError("the base's chat template does not show a user turn exactly once; use another base")
    if all(token in (after if tokenizer.chat_template else vocabulary) for token in _LLAMA_3):
        start, end, turn = _LLAMA_3
        after = f"{turn}{start}assistant{end}\n\n{cue}"
        return Conversation("llama3", f"{start}user{end}\n\n", after, _end_of_turn(tokenizer, turn, eos_token_ids))
    if not tokenizer.chat_template:
        return Conversation("plain", "", f"\n\n{cue}", _end_of_turn(tokenizer, "", eos_token_ids))
    answered = [{"role": "user", "content": "?"}, {"role": "assistant", "content": _MARK}]
    turn = _rendered(tokenizer, answered, False, enable_thinking).partition(_MARK)[2]
    return Conversation("chat", before, after + cue, _end_of_turn(tokenizer, turn, eos_token_ids))


def _rendered(
    tokenizer: PreTrainedTokenizerBase, messages: list[dict[str, str]], open_turn: bool, enable_thinking: bool | None
) -> str:
    template = tokenizer.get_chat_template()
    options: dict[str, Any] = {} if enable_thinking is None else {"enable_thinking": enable_thinking}
    if options and "enable_thinking" not in template:
        raise BaseModelError("template.enable_thinking: the base's chat template has no such switch; remove the key")
    if "strftime_now" in template:
        template = _FIXED_DATE + template
    try:
        with time_limit(RENDER_S):
            text: Any = tokenizer.apply_chat_template(
                messages, chat_template=template, tokenize=False, add_generation_prompt=open_turn, **options
            )
        if len(text) > RENDERED_CHARACTERS:
            raise ValueError(f"it makes {len(text)} characters of two short turns")
    except Exception as error:  # a template is a program of the base's author and may raise anything
        raise BaseModelError(f"the base's chat template fails ({error!s:.300}); use another base") from None
    return text


def _end_of_turn(tokenizer: PreTrainedTokenizerBase, text: str, eos_token_ids: list[int]) -> int:
    """Returns the token that the conversation puts after an answer, or else the first that stops generation."""
    for piece in split_at_special(tokenizer, text):
        if isinstance(piece, int) and piece in eos_token_ids:
            return piece
    return eos_token_ids[0]


def split_at_special(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int | str]:
    """Splits a template's text into special tokens (as ids) and the texts between them."""
    special = {str(token): number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    if not special:
        return [text] if text else []
    pattern = "|".join(re.escape(token) for token in sorted(special, key=len, reverse=True))
    pieces = re.split(f"({pattern})", text)
    return [special.get(piece, piece) for piece in pieces if piece]


@dataclass(frozen=True)
class Filled:
    """A user's text and the places of its parts, in characters; the context's is empty where there is none."""

    text: str
    context: tuple[int, int]
    question: tuple[int, int]


class Template:
    """Fills instruction, context and question of a task into the text of a user turn."""

    def __init__(self, params: TemplateParams) -> None:
        self._parts = _FIELD.split(params.input)
        if params.instruction:
            self._parts[0] = f"{params.instruction}\n\n{self._parts[0]}"

    @property
    def takes_context(self) -> bool:
        return "context" in self._parts[1::2]

    def fill(self, context: str, question: str) -> Filled:
        """Puts the texts in; a brace in a text is only a brace."""
        values, spans = {"context": context, "question": question}, {"context": (0, 0), "question": (0, 0)}
        text = ""
        for number, part in enumerate(self._parts):
            if number % 2:
                spans[part] = (len(text), len(text) + len(values[part]))
                part = values[part]
            text += part
        return Filled(text, **spans)
