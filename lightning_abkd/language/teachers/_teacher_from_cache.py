"""A teacher that consists of its stored outputs."""

from dataclasses import dataclass, field

from torch import Tensor

from lightning_abkd.functional import top_k_buckets
from lightning_abkd.language._batches import TokenBatch
from lightning_abkd.language.teachers._cache import TeacherCache
from lightning_abkd.language.teachers._language_teacher import TeacherAnswer
from lightning_abkd.losses import OutputHead, PairedLogits, compare_with_head


@dataclass
class TeacherFromCache:
    """A teacher that consists of its stored outputs.

    Args:
        cache: The stored outputs.

    Example:
        >>> import tempfile
        >>> import torch
        >>> from lightning_abkd.models import CacheIdentity, TeacherCacheWriter
        >>> folder, identity = tempfile.mkdtemp(), CacheIdentity("teacher", "bytes", "tasks")
        >>> writer = TeacherCacheWriter(folder, identity, "top_k", [1], width=2, vocabulary=5)
        >>> writer.write_top_k(torch.tensor([0]), torch.zeros(1, 5))
        >>> _ = writer.close()
        >>> compare = TeacherFromCache(TeacherCache(folder)).comparison(torch.tensor([0]), count=1)
        >>> compare(torch.zeros(1, 5), slice(0, 1))[1].exp()  # two of five equal classes, and the rest
        tensor([[0.2000, 0.2000, 0.6000]])
    """

    cache: TeacherCache
    _head: OutputHead | None = field(default=None, init=False, repr=False)

    def answer(self, batch: TokenBatch, counted: Tensor, vocabulary: int | None) -> TeacherAnswer:
        """Look up the outputs at the counted tokens by the batch's index, over the ids that were stored."""
        return TeacherAnswer(self.comparison(batch["index"], len(counted)))

    def comparison(self, index: Tensor, count: int) -> PairedLogits:
        """Return the function that pairs student logits with stored outputs: exact logits, or top-k buckets.

        Args:
            index: Positions of the batch's samples in the data, shape (B,).
            count: Number of counted tokens in the batch.

        Raises:
            ValueError: If another number of tokens is stored for these samples.
        """
        stored = int(self.cache.token_counts[index.cpu()].sum())
        if stored != count:
            raise ValueError(
                f"The cache {self.cache.folder} should hold the tokens of the batch. Found {stored} stored tokens and "
                f"{count} counted ones. Write the cache again with the same data."
            )
        return self._hidden_comparison(index) if self.cache.kind == "hidden" else self._bucket_comparison(index)

    def _hidden_comparison(self, index: Tensor) -> PairedLogits:
        if self._head is None or self._head.weight.device != index.device:
            self._head = self.cache.head().to(index.device)
        return compare_with_head(self.cache.hidden(index).to(index.device), self._head)

    def _bucket_comparison(self, index: Tensor) -> PairedLogits:
        ids, log_p = (tensor.to(index.device) for tensor in self.cache.top_k(index))

        def compare(student_logits: Tensor, rows: slice) -> tuple[Tensor, Tensor]:
            return top_k_buckets(student_logits, ids[rows]), log_p[rows].to(student_logits.dtype)

        return compare
