"""A key-value cache whose rows can be added and removed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer

HEADROOM = 64


class SlotLayer(DynamicLayer):
    """One layer's keys and values [B, heads, columns, d], written in place; all rows end at the same column.

    transformers' own layer copies the whole cache at every token; this one grows by 64 columns at a time.
    """

    _buffers: tuple[Tensor, Tensor]

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Appends columns; returns all keys and values."""
        start = self.get_seq_length()
        end = start + key_states.shape[-2]
        if not self.is_initialized or end > self._buffers[0].shape[-2]:
            self._reserve(key_states, value_states, start, end + HEADROOM)
        for buffer, states in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[:, :, start:end] = states
        self._show(end)
        assert self.keys is not None and self.values is not None
        return self.keys, self.values

    def _reserve(self, keys: Tensor, values: Tensor, used: int, capacity: int) -> None:
        fresh = tuple(states.new_empty(*states.shape[:2], capacity, states.shape[3]) for states in (keys, values))
        if used:
            for buffer, old in zip(fresh, self._buffers, strict=True):
                buffer[:, :, :used] = old[:, :, :used]
        self._buffers, self.is_initialized = (fresh[0], fresh[1]), True

    def _show(self, end: int) -> None:
        self.keys, self.values = (buffer[:, :, :end] for buffer in self._buffers)

    def merge(self, rows: Tensor, other: SlotLayer | None, columns: int) -> None:
        """Keeps some rows, appends another cache's, and leaves `columns` columns, cut or padded on the left."""
        parts = [tuple(buffer[rows] for buffer in self._shown())] + ([other._shown()] if other is not None else [])
        merged = []
        for tensors in zip(*parts, strict=True):
            count, (_, heads, _, size) = sum(len(tensor) for tensor in tensors), tensors[0].shape
            # Padding columns are masked, yet must hold finite numbers: 0 x nan is nan.
            buffer = tensors[0].new_zeros(count, heads, columns + HEADROOM, size)
            first = 0
            for tensor in tensors:
                kept = min(columns, tensor.shape[-2])
                buffer[first : first + len(tensor), :, columns - kept : columns] = tensor[
                    :, :, tensor.shape[-2] - kept :
                ]
                first += len(tensor)
            merged.append(buffer)
        self._buffers = (merged[0], merged[1])
        self._show(columns)

    def _shown(self) -> tuple[Tensor, Tensor]:
        assert self.keys is not None and self.values is not None
        return self.keys, self.values


def slot_cache() -> Cache:
    """Makes an empty cache; layers appear as the model writes to them."""
    return Cache(layer_class_to_replicate=SlotLayer)


def merge_caches(cache: Cache, rows: Tensor, other: Cache | None, columns: int) -> None:
    """Merges every layer; see `SlotLayer.merge`."""
    for index, layer in enumerate(cache.layers):
        assert isinstance(layer, SlotLayer)
        layer.merge(rows, other.layers[index] if other is not None else None, columns)  # type: ignore[arg-type]


def merge_masks(mask: Tensor, rows: Tensor, other: Tensor | None, columns: int) -> Tensor:
    """Merges attention masks [B, columns] as `merge_caches` merges keys and values."""
    parts = [mask[rows]] + ([other] if other is not None else [])
    return torch.cat(
        [torch.nn.functional.pad(part, (columns - part.shape[1], 0)) for part in parts]  # a negative pad cuts
    )
