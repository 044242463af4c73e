"""The stored outputs that a module learns from, and for how long."""

from dataclasses import dataclass

from lightning_abkd.language.teachers import TeacherFromCache


@dataclass
class Store:
    """Stored outputs of a teacher, for all fits or for one.

    Args:
        teacher: The stored outputs, or None.
        is_for_one_fit: Whether the next fit leaves them.

    Example:
        >>> store = Store()
        >>> store.begin_fit(is_missed=True)
        >>> store.teacher is None
        True
    """

    teacher: TeacherFromCache | None = None
    is_for_one_fit: bool = False

    def begin_fit(self, is_missed: bool) -> None:
        """Leave the outputs that were stored for an earlier fit, whose data may have been others.

        Args:
            is_missed: Whether nothing else would teach now.

        Raises:
            ValueError: If they are missed.
        """
        if self.teacher is None or not self.is_for_one_fit:
            return
        if is_missed:
            raise ValueError(
                "A fit with a divergence needs a teacher. Found none: it left in an earlier fit with `CachedTeacher`. "
                f"Give the trainer `CachedTeacher({str(self.teacher.cache.folder)!r})` again."
            )
        self.teacher = None
