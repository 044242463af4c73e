"""LightningModules that distil a frozen teacher into a student, and what they take, under the paths that configs use.

This file only lists names. `DistillationModule` and learning-rate schedules are defined in `lightning_abkd.training`,
the language module and generation in `lightning_abkd.language`, and base-to-new generalisation in
`lightning_abkd.vision`.
"""

from typing import TYPE_CHECKING

from lightning_abkd._utils import export_lazily

if TYPE_CHECKING:
    from lightning_abkd.language import (
        LanguageDistillationModule as LanguageDistillationModule,
        TeacherFromCache as TeacherFromCache,
    )
    from lightning_abkd.language.generation import (
        AdaptiveOffPolicy as AdaptiveOffPolicy,
        GeneratedResponses as GeneratedResponses,
        OnPolicy as OnPolicy,
        Responder as Responder,
        Sampling as Sampling,
    )
    from lightning_abkd.training import (
        DistillationModule as DistillationModule,
        ProductLR as ProductLR,
        SequenceLR as SequenceLR,
        TransformersLR as TransformersLR,
        WarmupConstantLR as WarmupConstantLR,
        WarmupCosineLR as WarmupCosineLR,
        WarmupLinearLR as WarmupLinearLR,
        WholeCycleLR as WholeCycleLR,
    )
    from lightning_abkd.vision import BaseToNewModule as BaseToNewModule
else:
    export_lazily(
        __name__,
        {
            "lightning_abkd.language": ["LanguageDistillationModule", "TeacherFromCache"],
            "lightning_abkd.language.generation": [
                "AdaptiveOffPolicy",
                "Responder",
                "OnPolicy",
                "GeneratedResponses",
                "Sampling",
            ],
            "lightning_abkd.training": [
                "DistillationModule",
                "ProductLR",
                "SequenceLR",
                "TransformersLR",
                "WarmupConstantLR",
                "WarmupCosineLR",
                "WarmupLinearLR",
                "WholeCycleLR",
            ],
            "lightning_abkd.vision": ["BaseToNewModule"],
        },
        renamed={"Answering": "Responder", "Responses": "GeneratedResponses", "StoredTeacher": "TeacherFromCache"},
    )
