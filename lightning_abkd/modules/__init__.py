"""LightningModules that distil a frozen teacher into a student.

Here: what happens to a batch, and which of it is trained, logged and saved.
Not here: divergences (`lightning_abkd.losses`), schedules of their numbers (`lightning_abkd.callbacks`).
"""

from lightning_abkd.modules._distillation import DistillationModule
from lightning_abkd.modules._language import LanguageDistillationModule

__all__ = ["DistillationModule", "LanguageDistillationModule"]
