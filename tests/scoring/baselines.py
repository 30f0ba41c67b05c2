"""Two readers without a model, whose answers to real passages are real predictions, right for some and wrong for most.

Both look for the question's words in the passage, as do the sliding windows of Richardson et al. (MCTest, EMNLP 2013).
"""

import re

_WORD = re.compile(r"\w[\w'.,-]*\w|\w")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
_REACH = 10


def _asked(question):
    """The question's words that say what it is about: all but those of at most three letters."""
    return {word.lower() for word in _WORD.findall(question) if len(word) > 3}


def nearest_name(question, context):
    """The run of capitalised words or numbers, none of the question's, with most of the question's words near it."""
    asked, words = _asked(question), list(_WORD.finditer(context))
    hits = [word.group().lower() in asked for word in words]
    named = [bool(re.match(r"[A-Z0-9]", word.group())) and not hit for word, hit in zip(words, hits, strict=True)]
    best, answer = -1.0, ""
    for start in (at for at in range(len(words)) if named[at] and not (at and named[at - 1])):
        end = next((at for at in range(start, len(words)) if not named[at]), len(words))
        near = [(at, hits[at]) for at in range(max(0, start - _REACH), min(len(words), end + _REACH))]
        score = sum(1 / (1 + max(start - at, at - end + 1)) for at, hit in near if hit)
        if score > best:
            best, answer = score, context[words[start].start() : words[end - 1].end()]
    return answer


def nearest_sentence(question, context):
    """The first of the sentences that hold most of the question's words."""
    asked = _asked(question)
    return max(_SENTENCE.split(context), key=lambda each: len(asked & {word.lower() for word in _WORD.findall(each)}))
