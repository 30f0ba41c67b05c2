"""Examples to token ids: the prompt is encoded without the target, and a data set's text is never a control token."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from tokenizers import Encoding, Tokenizer

from ptmoe.encoding.templates import Filled, Template, conversation, split_at_special
from ptmoe.examples.example import Example
from ptmoe.rows.encoded import Encoded
from ptmoe.runtime.errors import BaseModelError, DataError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from ptmoe.config.params import TemplateParams

# No text of a natural language has more characters a token than this on average; what is longer is cut before
# it is tokenised, so that one huge line costs no more than a long one.
_MAX_CHARACTERS_PER_TOKEN = 32


@dataclass
class Statistics:
    """Counts of the rows of one set.

    Attributes:
        rows: rows encoded.
        tokens: their tokens.
        longest: tokens of the longest row.
        contexts_cut: rows whose context was cut to fit.
        answers_cut_out: those of them whose context held the answer before, and not after.
        answers_not_in_context: rows with a context that never held the answer.
        over_length: test rows that are too long even without their context; they are kept as they are.
        dropped: reason -> training rows left out.
    """

    rows: int = 0
    tokens: int = 0
    longest: int = 0
    contexts_cut: int = 0
    answers_cut_out: int = 0
    answers_not_in_context: int = 0
    over_length: int = 0
    dropped: Counter[str] = field(default_factory=Counter)

    def add(self, length: int) -> None:
        self.rows += 1
        self.tokens += length
        self.longest = max(self.longest, length)

    def summary(self) -> dict[str, Any]:
        """Returns the counts and the mean length as plain JSON."""
        return asdict(self) | {"mean_length": round(self.tokens / max(self.rows, 1), 1), "dropped": dict(self.dropped)}


@dataclass(frozen=True, slots=True)
class _Row:
    """An example while it is encoded, with its current context.

    Attributes:
        target: tokens after the prompt.
        filled: the user's text and the places of its parts.
        tokens: the user's text and what touches it as tokens.
    """

    example: Example
    target: list[int]
    filled: Filled
    tokens: Encoding


class PromptEncoder:
    """Encodes the examples of a task for one base model.

    Args:
        tokenizer: the base model's; it must be a fast one.
        template: the task's instruction, input and cue.
        max_length: the longest row in tokens, target and end of turn included.
        eos_token_ids: the tokens at which generation stops.

    Raises:
        BaseModelError: the tokenizer has no fast form, or its chat template cannot be used.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, template: TemplateParams, max_length: int, eos_token_ids: list[int]
    ) -> None:
        self.conversation = conversation(tokenizer, template.cue, eos_token_ids, template.enable_thinking)
        self._template, self._max_length = Template(template), max_length
        self._text_tokenizer = _for_plain_text(tokenizer)
        before = split_at_special(tokenizer, self.conversation.before)
        after = split_at_special(tokenizer, self.conversation.after)
        # Text of the conversation that touches the user's text is encoded with it, as it would be in one string.
        self._lead, self._trail = _taken(before, -1), _taken(after, 0)
        self._head = self._ids(before)
        bos: Any = tokenizer.bos_token_id
        # A chat template writes the begin token itself, where the base was tuned with one.
        if self.conversation.kind != "chat" and bos is not None and self._head[:1] != [bos]:
            self._head.insert(0, bos)
        self._tail = self._ids(after)
        self._last = next((piece for piece in [self._trail, *after][::-1] if isinstance(piece, str)), "")
        self._last_ids = self._encode([self._last])[0].ids

    @property
    def description(self) -> dict[str, Any]:
        """The form of the prompt, for the stage's report."""
        filled = self._template.fill("{context}", "{question}").text
        text = f"{self.conversation.before}{filled}{self.conversation.after}"
        return {"kind": self.conversation.kind, "prompt": text, "end_of_turn": self.conversation.end_of_turn}

    def encode(self, examples: list[Example], with_targets: bool, statistics: Statistics) -> list[Encoded]:
        """Encodes examples; a batch of some thousand uses all cores.

        A context that is too long loses its end, at a word's boundary, so that instruction, question and target
        stay whole. A training row that is too long without any context is left out; a test row is kept.

        Args:
            with_targets: whether target and end of turn follow the prompt, as in a training row.
            statistics: counts what happened.

        Raises:
            DataError: an example has a context and the template has no place for it.
        """
        targets = self._targets(examples) if with_targets else [[] for _ in examples]
        rows = self._fitting(examples, targets)
        encoded = []
        for original, row in zip(examples, rows, strict=True):
            prompt = [*self._head, *row.tokens.ids, *self._tail]
            length = len(prompt) + len(row.target)
            if length > self._max_length and with_targets:
                statistics.dropped["too long without context"] += 1
                continue
            statistics.over_length += length > self._max_length
            _count_context(original, row.example, with_targets, statistics)
            statistics.add(length)
            start, end = self._tokens_of(row, row.filled.question)
            encoded.append(
                Encoded(
                    id=original.id,
                    dataset=original.dataset,
                    input_ids=np.array([*prompt, *row.target], np.int32),
                    prompt_length=len(prompt),
                    question_start=len(self._head) + start,
                    question_end=len(self._head) + end,
                    answers=original.answers,
                )
            )
        return encoded

    def _targets(self, examples: list[Example]) -> list[list[int]]:
        """Encodes " target" as it is encoded after the cue, so that prompt tokens never depend on the target."""
        joint = self._encode([f"{self._last} {example.target}" for example in examples])
        alone = len(self._last_ids)
        made = []
        for example, encoding in zip(examples, joint, strict=True):
            ids = encoding.ids
            fits = ids[:alone] == self._last_ids
            ids = ids[alone:] if fits else self._encode([f" {example.target}"])[0].ids
            made.append([*ids, self.conversation.end_of_turn])
        return made

    def _fitting(self, examples: list[Example], targets: list[list[int]]) -> list[_Row]:
        """Encodes the prompts and cuts contexts until every row fits or has no context left."""
        most = self._max_length * _MAX_CHARACTERS_PER_TOKEN
        rows = self._rows([replace(example, context=example.context[:most]) for example in examples], targets)
        waiting = list(range(len(rows)))
        while waiting := [n for n in waiting if self._excess(rows[n]) > 0 and rows[n].example.context]:
            shorter = [replace(rows[n].example, context=self._cut(rows[n])) for n in waiting]
            for number, row in zip(waiting, self._rows(shorter, [targets[n] for n in waiting]), strict=True):
                rows[number] = row
        return rows

    def _rows(self, examples: list[Example], targets: list[list[int]]) -> list[_Row]:
        filled = [self._fill(example) for example in examples]
        tokens = self._encode([f"{self._lead}{made.text}{self._trail}" for made in filled])
        return [_Row(*row) for row in zip(examples, targets, filled, tokens, strict=True)]

    def _fill(self, example: Example) -> Filled:
        if example.context and not self._template.takes_context:
            raise DataError(
                f"example {example.id} of {example.dataset} has a context, but the task's template.input has no "
                f"{{context}}; add it there"
            )
        return self._template.fill(example.context, example.question)

    def _excess(self, row: _Row) -> int:
        return len(self._head) + len(row.tokens) + len(self._tail) + len(row.target) - self._max_length

    def _cut(self, row: _Row) -> str:
        """Returns the context without its last tokens, as many as are too many, and without a broken word."""
        start, end = self._tokens_of(row, row.filled.context)
        kept = end - start - self._excess(row)
        if kept <= 0:
            return ""
        offset = len(self._lead) + row.filled.context[0]
        stop = _characters(row.tokens, start + kept - 1)[1] - offset
        context = row.example.context
        shorter = context[: min(stop, len(context) - 1)]
        if not context[len(shorter)].isspace() and (words := shorter.rsplit(None, 1))[1:]:
            shorter = words[0]
        return shorter.rstrip()

    def _tokens_of(self, row: _Row, span: tuple[int, int]) -> tuple[int, int]:
        """Returns the tokens [start, end) of the user's text that hold its characters `span`."""
        first, last = (len(self._lead) + place for place in span)
        # White space may belong to no token; a character may be several, of which `char_to_token` knows the first.
        tokens = (row.tokens.char_to_token(place) for place in range(first, last))
        start = next((token for token in tokens if token is not None), None)
        if start is None:
            return 0, 0
        tokens = (row.tokens.char_to_token(place) for place in range(last - 1, first - 1, -1))
        end = next((token for token in tokens if token is not None), start) + 1
        while end < len(row.tokens) and _characters(row.tokens, end)[0] < last:
            end += 1
        return start, end

    def _encode(self, texts: list[str]) -> list[Encoding]:
        return self._text_tokenizer.encode_batch(texts, add_special_tokens=False)

    def _ids(self, pieces: list[int | str]) -> list[int]:
        ids: list[int] = []
        for piece in pieces:
            ids += self._encode([piece])[0].ids if isinstance(piece, str) else [piece]
        return ids


def _taken(pieces: list[int | str], place: int) -> str:
    """Takes the text at one end of a conversation's pieces away; empty where there is a special token."""
    return str(pieces.pop(place)) if pieces and isinstance(pieces[place], str) else ""


def _characters(tokens: Encoding, token: int) -> tuple[int, int]:
    return tokens.token_to_chars(token) or (0, 0)


def _for_plain_text(tokenizer: PreTrainedTokenizerBase) -> Tokenizer:
    """Returns a tokenizer to which `<|eot_id|>` in a text is nine characters and not the end of a turn."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise BaseModelError(
            f"{type(tokenizer).__name__} has no tokenizer.json; set base.name to a base with a fast one"
        )
    copy = Tokenizer.from_str(backend.to_str())
    copy.no_truncation()
    copy.no_padding()
    copy.encode_special_tokens = True
    return copy


def _count_context(before: Example, after: Example, with_targets: bool, statistics: Statistics) -> None:
    if not before.context:
        return
    texts = [before.target] if with_targets else before.answers
    held = any(text in before.context for text in texts)
    statistics.answers_not_in_context += not held
    if len(after.context) < len(before.context):
        statistics.contexts_cut += 1
        statistics.answers_cut_out += held and not any(text in after.context for text in texts)
