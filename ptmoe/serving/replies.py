"""Answers in the forms of OpenAI's completions and chat completions, whole or in pieces."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Reply:
    """One reply; `expert` and `expert_probability` (the gate) of each choice are this server's own.

    Attributes:
        chat: whether the form is that of a chat.
        model: the adapter's name.
        prompt_tokens: tokens of the text, without the soft prompt.
    """

    chat: bool
    model: str
    prompt_tokens: int
    id: str = field(default_factory=lambda: secrets.token_hex(12))
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, shown: dict[str, Any]) -> dict[str, Any]:
        """Makes the body of a reply that is not streamed; `shown` is from `Answer.shown`."""
        text = shown["prediction"]
        content = {"message": {"role": "assistant", "content": text}} if self.chat else {"text": text}
        return self._body("", [self._choice(content, shown, True)]) | {"usage": self._usage(shown)}

    def piece(self, text: str, shown: dict[str, Any], ended: bool = False) -> dict[str, Any]:
        """Makes a chunk of a stream; the last one has the reason of the end."""
        content = {"delta": {"role": "assistant", "content": text}} if self.chat else {"text": text}
        return self._body(".chunk" if self.chat else "", [self._choice(content, shown, ended)])

    def usage(self, shown: dict[str, Any]) -> dict[str, Any]:
        """Makes the chunk after the last one, where a client asks for it."""
        return self._body(".chunk" if self.chat else "", []) | {"usage": self._usage(shown)}

    def _body(self, suffix: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        prefix, kind = ("chatcmpl", "chat.completion") if self.chat else ("cmpl", "text_completion")
        return {
            "id": f"{prefix}-{self.id}",
            "object": f"{kind}{suffix}",
            "created": self.created,
            "model": self.model,
            "choices": choices,
        }

    def _choice(self, content: dict[str, Any], shown: dict[str, Any], ended: bool) -> dict[str, Any]:
        reason = ("stop" if shown["finished"] else "length") if ended else None
        routing = {key: shown[key] for key in ("expert", "expert_probability")}
        return {"index": 0, **content, "logprobs": None, "finish_reason": reason, **routing}

    def _usage(self, shown: dict[str, Any]) -> dict[str, int]:
        new = shown["new_tokens"]
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": new,
            "total_tokens": self.prompt_tokens + new,
        }
