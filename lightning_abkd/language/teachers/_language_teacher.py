"""The frozen teacher of a language model."""

from torch import nn

from lightning_abkd.language.teachers._separate_head import SeparateHead
from lightning_abkd.training import Teacher, TeacherDtype


class LanguageTeacher(Teacher):
    """A teacher that may be taken apart into backbone and output layer.

    Args:
        network: A causal language model; its parameters are frozen.
        dtype: Dtype of its weights and arithmetic, see `Teacher`.
    """

    def __init__(self, network: nn.Module, dtype: TeacherDtype | None = None) -> None:
        super().__init__(network, dtype)
        # Kept here, so that copies of the student's module do not copy the teacher with it.
        self.separate: SeparateHead | None = None
