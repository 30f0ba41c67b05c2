"""The tokenizer: byte-level BPE in which common words and small numbers are one token."""

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from recipes.mini_data.dice import Dice
from recipes.tiny_base.chats import math_chat, qa_chat
from recipes.tiny_base.documents import drill, invented_words, questions
from recipes.tiny_base.styles import TABLE
from recipes.tiny_base.text import BOS, EOT, PAD, SPECIAL_TOKENS

VOCABULARY = 1280
MAX_POSITIONS = 1024
_DOCUMENTS = 12000
# Two digits at most make a token, so that a number of the word problems is one token.
_SPLIT = r" ?\p{L}+| ?\d{1,2}| ?[^\s\p{L}\d]+|\s+(?!\S)|\s+"
_NUMBERS = "".join(f" {number}" for number in range(100)) + "".join(f" 18{number:02}" for number in range(100))
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "<|start_header_id|>{{ message['role'] }}<|end_header_id|>\n\n"
    "{{ message['content'] | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)


def _corpus(seed: int) -> list[str]:
    dice = Dice(f"tokenizer/{seed}")
    kinds = (qa_chat, math_chat, questions, drill, invented_words)
    texts = ["".join(piece.text for piece in dice.pick(kinds)(dice)) for _ in range(_DOCUMENTS)]
    return texts + [TABLE["instructions"]] * (_DOCUMENTS // 100) + [_NUMBERS] * (_DOCUMENTS // 100)


def train_tokenizer(seed: int) -> PreTrainedTokenizerFast:
    """A tokenizer that encodes any text without loss; like Llama 3's it puts <|begin_of_text|> first."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(_corpus(seed), trainer)
    core.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=[(BOS, core.token_to_id(BOS))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token=BOS,
        eos_token=EOT,
        pad_token=PAD,
        padding_side="left",
        model_max_length=MAX_POSITIONS,
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
    )
