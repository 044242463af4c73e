"""The identity of a whole teacher, found while its outputs are written."""

from concurrent.futures import Future, wait

from torch import nn

from lightning_abkd.language.teachers._cache_identity import begin_identity, differences, model_identity
from lightning_abkd.language.teachers._cache_writer import TeacherCacheWriter

# Seconds that the first batch waits for it.
_PATIENCE = 0.5


class WholeIdentity:
    """Reads all weights of a teacher once, in a thread, while a writer that knows a sample of them stores its outputs.

    A cache that was begun by another attempt is only continued by the teacher that began it. Where that attempt was
    killed before it knew its own teacher whole, the few samples that it stored are written again.

    Args:
        writer: Writer of a cache that is begun or continued.
        teacher: The network.

    Raises:
        ValueError: If the cache was begun by a teacher with other weights.
    """

    def __init__(self, writer: TeacherCacheWriter, teacher: nn.Module) -> None:
        self._writer = writer
        self._later: Future[str] | None = None
        self._patience = _PATIENCE
        self._identity = writer.checksums.model
        if self._identity is not None:
            self._check(model_identity(teacher), self._identity)
        elif writer.checksums.exist:
            writer.start_again()
            self._later = begin_identity(teacher)

    def _check(self, model: str, begun_by: str) -> None:
        problems = differences({"model": begun_by}, {"model": model})
        if problems:
            raise ValueError(
                f"The teacher cache in {self._writer.folder} should be one to continue. {problems[0]} "
                "Delete the folder or name another one."
            )

    def record(self) -> None:
        """Record the identity once it is known; of a small teacher it is after the first batch."""
        if self._identity is not None or self._later is None:
            return
        if wait([self._later], self._patience).done:
            self._identity = self._later.result()
            self._writer.checksums.record_model(self._identity)
        self._patience = 0.0

    def result(self) -> str | None:
        """Wait for the identity; None for a cache that release 0.1 began, which knew a sample only."""
        return self._identity if self._later is None else self._later.result()
