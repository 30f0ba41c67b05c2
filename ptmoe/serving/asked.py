"""What a client may ask, in the forms of OpenAI's completions and chat completions."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr, ValidationError, model_validator

# Greedy decoding has one answer: what would change it is refused, not ignored.
_NEUTRAL: dict[str, Any] = {
    "temperature": 0,
    "top_p": 1,
    "n": 1,
    "best_of": 1,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "logprobs": False,
    "echo": False,
    "logit_bias": {},
    "stop": [],
    "tools": [],
}
Limit = Annotated[StrictInt, Field(ge=1)] | None


class RefusedError(Exception):
    """A request that is not answered; the client gets the status and an error in OpenAI's form.

    Args:
        status: of HTTP.
        message: what is wrong, the value, what is allowed.
        param: the faulty key.
        code: OpenAI's name of the fault, where it has one.
    """

    def __init__(self, status: int, message: str, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.param, self.code = status, param, code

    def body(self) -> dict[str, Any]:
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        return {"error": {"message": str(self), "type": kind, "param": self.param, "code": self.code}}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class StreamOptions(_Strict):
    include_usage: StrictBool = False


class Asked(_Strict):
    """The keys that both forms share; `context` is this server's own, for templates with a place for one."""

    model: StrictStr
    context: StrictStr = ""
    max_tokens: Limit = None
    stream: StrictBool | None = None
    stream_options: StreamOptions | None = None
    seed: StrictInt | None = None
    user: StrictStr | None = None

    @model_validator(mode="before")
    @classmethod
    def _only_greedy(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            raise ValueError("must be a JSON object")
        for key, allowed in _NEUTRAL.items():
            value = values.get(key)
            if value is not None and (isinstance(value, bool) != isinstance(allowed, bool) or value != allowed):
                raise ValueError(
                    f"{key}: got {value!r:.60}; answers are greedy and single, so that only {allowed!r} is allowed"
                )
        return {key: value for key, value in values.items() if key not in _NEUTRAL}

    @property
    def question(self) -> str:
        raise NotImplementedError

    @property
    def limit(self) -> int | None:
        return self.max_tokens


class AskedText(Asked):
    """A body of /v1/completions: the prompt is the question, which goes into the adapter's template."""

    prompt: StrictStr

    @property
    def question(self) -> str:
        return self.prompt


class TextPart(_Strict):
    type: Literal["text"]
    text: StrictStr


class Message(_Strict):
    role: Literal["user"]
    content: StrictStr | list[TextPart]
    name: StrictStr | None = None


class AskedChat(Asked):
    """A body of /v1/chat/completions: one message of the user, for adapters answer one question."""

    messages: Annotated[list[Message], Field(min_length=1, max_length=1)]
    max_completion_tokens: Limit = None

    @property
    def question(self) -> str:
        content = self.messages[0].content
        return content if isinstance(content, str) else "\n".join(part.text for part in content)

    @property
    def limit(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens


Form = TypeVar("Form", bound=Asked)


def parsed(form: type[Form], body: Any) -> Form:
    """Checks a body; raises `RefusedError` with the first fault in words."""
    try:
        return form.model_validate(body)
    except ValidationError as error:
        fault = error.errors()[0]
    key = ".".join(map(str, fault["loc"]))
    if fault["type"] == "value_error":
        raise RefusedError(400, fault["msg"].removeprefix("Value error, "))
    if fault["type"] == "extra_forbidden":
        raise RefusedError(400, f"{key}: this server has no such key; leave it out", key)
    raise RefusedError(400, f"{key}: {fault['msg']}, got {fault['input']!r:.60}", key)
