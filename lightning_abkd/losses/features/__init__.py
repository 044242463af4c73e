"""Losses of features, with heads or memories of their own that are trained and saved with the student.

Here: losses that ask for `student_features` and `teacher_features`. Not here: where features come from.
"""

from lightning_abkd.losses.features._crd import CRD
from lightning_abkd.losses.features._itrd import ITRD

__all__ = [
    "CRD",
    "ITRD",
]
