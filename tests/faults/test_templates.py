"""A chat template is a program of the base's author: it ends, with a text of a sane length, or is refused."""

import pytest

from ptmoe.encoding.templates import conversation
from ptmoe.runtime.errors import BaseModelError
from tests.data.support import CHATML, CHATML_TEMPLATE, tokenizer_of

LOOP = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


@pytest.mark.parametrize(
    ("template", "words"),
    [
        (LOOP + CHATML_TEMPLATE, "it takes longer than"),
        ("{{ 'x' * 2000000 }}" + CHATML_TEMPLATE, "characters of two short turns"),
        ("{{ ''.__class__.__mro__ }}", "chat template fails"),
        ("{{ raise_exception('no user') }}", "no user"),
        ("{% if %}", "chat template fails"),
    ],
)
def test_a_template_that_does_not_end_well(template, words, monkeypatch):
    monkeypatch.setattr("ptmoe.encoding.templates.RENDER_S", 0.2)
    tokenizer = tokenizer_of(CHATML, template)
    with pytest.raises(BaseModelError, match=words):
        conversation(tokenizer, "Answer:", [1])
