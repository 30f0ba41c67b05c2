"""A real language model on real questions, on a machine with neither a hub nor a GPU."""
