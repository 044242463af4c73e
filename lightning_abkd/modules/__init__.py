"""LightningModules that distil a frozen teacher into a student.

Here: what happens to a batch, and which of it is trained, logged and saved.
Not here: divergences (`lightning_abkd.losses`), schedules of their numbers (`lightning_abkd.callbacks`).
"""

from lightning_abkd.modules._base_to_new import BaseToNewModule
from lightning_abkd.modules._distillation import DistillationModule
from lightning_abkd.modules._generation import Answering, Responses, Sampling
from lightning_abkd.modules._language import LanguageDistillationModule
from lightning_abkd.modules._student_data import AdaptiveOffPolicy, OnPolicy
from lightning_abkd.modules._token_rows import StoredTeacher

__all__ = [
    "AdaptiveOffPolicy",
    "Answering",
    "BaseToNewModule",
    "DistillationModule",
    "LanguageDistillationModule",
    "OnPolicy",
    "Responses",
    "Sampling",
    "StoredTeacher",
]
