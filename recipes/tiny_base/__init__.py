"""How the tiny base model is made: its tokenizer, its training text and the phases of its training."""
