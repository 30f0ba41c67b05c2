"""The recipe of the tiny base: its tokenizer, its training text and the phases of its training."""
