"""Callbacks of language models: stored teachers, responses as files and in tests, exported students.

Here: what happens at which point of a run. Not here: schedules of numbers (see `lightning_abkd.training`).
"""

from typing import TYPE_CHECKING

from lightning_abkd._utils import export_lazily

if TYPE_CHECKING:
    from lightning_abkd.language.callbacks._cached_teacher import CachedTeacher as CachedTeacher
    from lightning_abkd.language.callbacks._response_evaluation import ResponseEvaluation as ResponseEvaluation
    from lightning_abkd.language.callbacks._response_writer import ResponseWriter as ResponseWriter
    from lightning_abkd.language.callbacks._save_pretrained import SavePretrained as SavePretrained
else:
    export_lazily(
        __name__,
        {
            "lightning_abkd.language.callbacks._cached_teacher": ["CachedTeacher"],
            "lightning_abkd.language.callbacks._response_evaluation": ["ResponseEvaluation"],
            "lightning_abkd.language.callbacks._response_writer": ["ResponseWriter"],
            "lightning_abkd.language.callbacks._save_pretrained": ["SavePretrained"],
        },
    )
