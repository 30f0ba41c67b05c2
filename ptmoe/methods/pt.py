"""Prompt tuning: P [T, H] is trained before a frozen model (Lester et al. 2021; google-research/prompt-tuning)."""

from __future__ import annotations

from ptmoe.tuning.method import PromptParams, TextPrompt


class PromptTuning(TextPrompt[PromptParams]):
    """One prompt for all inputs, initialised with the embeddings of the task's text."""


METHOD = PromptTuning
