"""Fits a router to training rows: rows are put into classes, and a logistic regression learns to classify them.

Under selective routing the expert that is not chosen gets no gradient: the router learns how far to trust its choice,
but not that another would have been better. A router that starts from the right classes need not learn that.
Classes are the rows' data sets, clusters of what the router sees, or, without any label, clusters of gradients: rows
that want to move the prompt in one direction share an expert.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ptmoe.rows.batches import Batch, collate
from ptmoe.rows.encoded import Encoded, EncodedSet
from ptmoe.tuning.mixture import PromptMixture
from ptmoe.tuning.prompted_lm import AnswerLoss, PromptedLM
from ptmoe.tuning.router import Affine, masked_mean

SAMPLE_ROWS = 512
REFIT_ROWS = 256
PIECE_ROWS = 8
"""Rows that are computed at once: a constant, so that devices do not change the start; few, to fit in memory."""
GRADIENT_COMPONENTS = 8
"""Principal components of the gradients that are clustered; the others vary from answer to answer."""


def start_router(model: PromptedLM, training: EncodedSet, pad_token_id: int, seed: int, device: torch.device) -> None:
    """Starts a router whose `router_init` is learnt from training rows; leaves every other method as it is.

    A function of a seeded sample of the rows alone: every process, and every number of processes, gets the same.
    """
    method = model.method
    init = getattr(method.params, "router_init", None)
    if not isinstance(method, PromptMixture) or init not in STARTS:
        return
    model.to(device).eval()
    chosen = np.random.default_rng([seed, len(training)]).permutation(len(training))[:SAMPLE_ROWS]
    with _one_thread():
        method.start_router(STARTS[init](model, [training[row] for row in chosen.tolist()], pad_token_id, seed))


def refit_router(model: PromptedLM, training: EncodedSet, pad_token_id: int, seed: int, step: int) -> None:
    """Fits a router again to which expert answers best, on a sample that depends on seed and step alone."""
    method = model.method
    assert isinstance(method, PromptMixture)
    chosen = np.random.default_rng([seed, step]).permutation(len(training))[:REFIT_ROWS]
    model.eval()
    with _one_thread():
        method.start_router(LossRefit(model, [training[row] for row in chosen.tolist()], pad_token_id, seed))
    model.train()


class RouterStart:
    """Puts rows into classes by k-means on what the router sees (`router_init: clusters`).

    Args:
        rows: a sample of the training rows.
        seed: of k-means.

    Attributes:
        inputs: [rows, H] what the router sees, in float64.
    """

    def __init__(self, model: PromptedLM, rows: list[Encoded], pad_token_id: int, seed: int) -> None:
        self._model, self._sample, self._seed = model, rows, seed
        device = model.base.device
        self._pieces = [
            collate(rows[first : first + PIECE_ROWS], pad_token_id).to(device)
            for first in range(0, len(rows), PIECE_ROWS)
        ]
        self.inputs = torch.cat([self._seen(piece) for piece in self._pieces]).double().cpu().numpy()

    @torch.no_grad()
    def _seen(self, piece: Batch) -> Tensor:
        mask = piece.question_mask if self._model.method.router_input == "question" else piece.prompt_mask
        return masked_mean(self._model.base.get_input_embeddings()(piece.input_ids), mask)

    @property
    def rows(self) -> np.ndarray:
        """The numbers of all rows of the sample."""
        return np.arange(len(self.inputs))

    def split(self, among: np.ndarray, parts: int) -> np.ndarray:
        """Returns a class below `parts` for each of the rows `among` [n]."""
        return self._clustered(_standardised(self.inputs[among]), parts)

    def _clustered(self, points: np.ndarray, parts: int) -> np.ndarray:
        from sklearn.cluster import KMeans

        return KMeans(parts, n_init=10, random_state=self._seed).fit_predict(points)  # type: ignore[arg-type]

    def learnt(self, among: np.ndarray, classes: np.ndarray, parts: int) -> Affine:
        """Returns W [N, H] and b [N] of a logistic regression from the inputs of the rows `among` [n] to their classes.

        It is fitted on standardised inputs, and the standardisation is folded into W and b. A class without rows is
        never chosen.
        """
        inputs, present = self.inputs[among], np.unique(classes)
        mean, scale = inputs.mean(0), inputs.std(0) + EPSILON
        weight, bias = np.zeros((parts, inputs.shape[1])), np.full(parts, NEVER)
        bias[present] = 0.0
        if len(present) > 1:
            from sklearn.linear_model import LogisticRegression

            regression = LogisticRegression(max_iter=1000).fit((inputs - mean) / scale, classes)
            sides = np.array([[-0.5], [0.5]])  # of two classes scikit-learn keeps the difference
            two = len(present) == 2
            weight[present] = (sides * regression.coef_ if two else regression.coef_) / scale
            bias[present] = sides[:, 0] * regression.intercept_ if two else regression.intercept_
            bias[present] -= weight[present] @ mean
        return Affine(torch.from_numpy(weight).float(), torch.from_numpy(bias).float())


class DataSetStart(RouterStart):
    """Puts rows into classes by their data set (`router_init: datasets`).

    With fewer classes than data sets, sets whose mean inputs are near each other share a class; with more, the
    larger sets are divided by k-means.
    """

    def split(self, among: np.ndarray, parts: int) -> np.ndarray:
        names, members, sizes = np.unique(
            [self._sample[row].dataset for row in among], return_inverse=True, return_counts=True
        )
        points = _standardised(self.inputs[among])
        if parts <= len(names):
            means = np.stack([points[members == number].mean(0) for number in range(len(names))])
            return (np.arange(parts) if parts == len(names) else self._clustered(means, parts))[members]
        shares = np.full(len(names), parts // len(names))
        shares[np.argsort(-sizes, kind="stable")[: parts % len(names)]] += 1
        classes, first = np.empty(len(among), np.int64), 0
        for number, share in enumerate(shares):
            classes[members == number] = first + self._clustered(points[members == number], share)
            first += share
        return classes


class GradientStart(RouterStart):
    """Puts rows into classes by k-means on their gradients at the starting prompt (`router_init: gradients`).

    A row's gradient is that of its answer's loss in its prompt, scaled to length one, because the direction in which
    the row moves the prompt is what matters. The prompt is the even mixture of all experts, so no router takes part.
    """

    def __init__(self, model: PromptedLM, rows: list[Encoded], pad_token_id: int, seed: int) -> None:
        super().__init__(model, rows, pad_token_id, seed)
        gradients = torch.cat([self._gradients(piece) for piece in self._pieces])
        self._directions = (gradients / gradients.norm(dim=1, keepdim=True).clamp(min=EPSILON)).double().cpu().numpy()

    def _gradients(self, piece: Batch) -> Tensor:
        method, count = self._model.method, len(piece.input_ids)
        assert isinstance(method, PromptMixture)
        even = torch.full((count, method.num_experts), 1 / method.num_experts, device=piece.input_ids.device)
        prompt = method.mix(even).detach().requires_grad_()
        output = self._model(**piece.as_dict(), prompt=prompt)
        assert isinstance(output, AnswerLoss)
        return torch.autograd.grad(output.loss_sum, prompt)[0].flatten(1).float()

    def split(self, among: np.ndarray, parts: int) -> np.ndarray:
        from sklearn.decomposition import PCA

        directions = self._directions[among]
        components = min(GRADIENT_COMPONENTS, *directions.shape)
        return self._clustered(PCA(components, random_state=self._seed).fit_transform(directions), parts)


class LossRefit(RouterStart):
    """Puts each row into the class of the expert that answers it best, once experts differ: a step of hard EM."""

    @torch.no_grad()
    def split(self, among: np.ndarray, parts: int) -> np.ndarray:
        losses = torch.cat([self._losses(piece, parts) for piece in self._pieces])
        return losses.argmin(dim=1).cpu().numpy()[among]

    def _losses(self, piece: Batch, parts: int) -> Tensor:
        """Returns [B, N] each row's loss under each expert."""
        method, columns = self._model.method, []
        assert isinstance(method, PromptMixture)
        for weights in torch.eye(parts, device=piece.input_ids.device):
            output = self._model(**piece.as_dict(), prompt=method.mix(weights.expand(len(piece.input_ids), -1)))
            assert isinstance(output, AnswerLoss) and output.row_losses is not None
            columns.append(output.row_losses)
        return torch.stack(columns, dim=1)


EPSILON = 1e-6
NEVER = -1e4
STARTS = {"clusters": RouterStart, "datasets": DataSetStart, "gradients": GradientStart}


def _one_thread() -> AbstractContextManager[Any]:
    # scikit-learn is imported where it is used: it takes a second, and most cells start no router.
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1)


def _standardised(points: np.ndarray) -> np.ndarray:
    return (points - points.mean(0)) / (points.std(0) + EPSILON)
