"""Both terms of the loss of hidden states and their gradients, where the classes lie on several processes."""

from dataclasses import replace

import torch
from torch import Tensor

from lightning_abkd.distributed import cross_entropy_from_shards, divergence_from_shards
from lightning_abkd.losses._base import split_classes
from lightning_abkd.losses.hidden._head_layout import HeadLayout, HeadShards
from lightning_abkd.losses.hidden._head_rows import Comparison, HeadGradients, HeadRows, HeadTerms
from lightning_abkd.losses.hidden._teacher_head import TeacherHead


def local_terms(terms: HeadTerms, layout: HeadLayout) -> HeadTerms:
    """Return what a loss is made of with the classes and the tokens that this process computes with."""
    comparison = terms.comparison
    if comparison is not None and isinstance(comparison.compare, TeacherHead):
        teacher = comparison.compare
        compare = TeacherHead(layout.local_tokens(teacher.hidden), layout.local_head(teacher.head))
        comparison = Comparison(comparison.divergence, compare)
    return replace(
        terms,
        head=layout.local_head(terms.head),
        labels=None if terms.labels is None else layout.local_tokens(terms.labels),
        comparison=comparison,
        shards=layout.shards(len(terms.head.weight)),
    )


def sums_of(terms: HeadTerms, gradients: HeadGradients, dtype: torch.dtype) -> "HeadRows | HeadShardRows":
    """Return what adds up the rows of a loss; arguments as in `HeadRows`."""
    if terms.shards is None:
        return HeadRows(terms, gradients, dtype)
    return HeadShardRows(terms, terms.shards, gradients, dtype)


class HeadShardRows:
    """Sums of both terms over rows as in `HeadRows`, from the logits of the classes that this process holds.

    Args:
        terms: What the loss is made of; the rows of its head are those of this process.
        shards: Which classes they are.
        gradients: Where the gradients are added.
        dtype: Dtype of logits and sums, at least float32.
    """

    def __init__(self, terms: HeadTerms, shards: HeadShards, gradients: HeadGradients, dtype: torch.dtype) -> None:
        self.task = terms.head.weight.new_zeros((), dtype=dtype)
        self.divergence = torch.zeros_like(self.task)
        self._terms = terms
        self._shards = shards
        self._gradients = gradients

    def add(self, inputs: Tensor, rows: slice) -> None:
        """Process some rows of hidden states.

        Args:
            inputs: Shape (n, D), in the dtype of the head.
            rows: Which rows of all they are.
        """
        terms = self._terms
        logits = terms.head.write(inputs, inputs.new_empty(len(inputs), len(terms.head.weight), dtype=self.task.dtype))
        leaf = logits.detach().requires_grad_(self._gradients.needed)
        with torch.set_grad_enabled(self._gradients.needed):
            divergence = self._sum_divergence(leaf, rows)
            task = self._sum_cross_entropy(leaf, rows)
            loss = terms.task_weight * task + terms.distillation_weight * divergence
        self.divergence += divergence.detach()
        self.task += task.detach()
        if self._gradients.needed:
            slope = torch.autograd.grad(loss, leaf)[0]
            self._gradients.add(terms.head, inputs, terms.head.pull_back(slope, logits), rows)

    def _sum_divergence(self, logits: Tensor, rows: slice) -> Tensor:
        comparison = self._terms.comparison
        if comparison is None:
            return logits.sum() * 0.0
        divergence = comparison.divergence
        teacher = self._teacher_logits(comparison, logits, rows)
        groups = self._shards.groups
        values = divergence_from_shards(logits, teacher, divergence.pointwise, divergence.temperature, groups).sum()
        return values * divergence.temperature.square() if divergence.scale_by_temperature else values

    def _teacher_logits(self, comparison: Comparison, logits: Tensor, rows: slice) -> Tensor:
        """Return the teacher's logits of this process's classes, cut from those of all classes where these are there.

        Raises:
            ValueError: If the student's logits should change, which needs those of all classes.
        """
        student, teacher = comparison.compare(logits, rows)
        if student is not logits or not comparison.divergence.is_sum_over_classes:
            raise split_classes(type(comparison.divergence).__name__, "an output layer whose rows are split")
        if teacher.shape[-1] == self._shards.classes:
            teacher = teacher[:, self._shards.first_class :][:, : logits.shape[-1]]
        return teacher

    def _sum_cross_entropy(self, logits: Tensor, rows: slice) -> Tensor:
        labels = self._terms.labels
        if labels is None:
            return logits.sum() * 0.0
        return cross_entropy_from_shards(logits, labels[rows], self._shards.first_class, self._shards.groups).sum()
