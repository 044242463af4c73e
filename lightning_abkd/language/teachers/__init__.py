"""Teachers of language models: taken apart into backbone and head, or as stored outputs.

Here: where the teacher's outputs come from. Not here: how they are compared (see `lightning_abkd.losses`).
"""

from typing import TYPE_CHECKING

from lightning_abkd._utils import export_lazily

if TYPE_CHECKING:
    from lightning_abkd.language.teachers._cache import TeacherCache as TeacherCache
    from lightning_abkd.language.teachers._cache_identity import (
        CacheIdentity as CacheIdentity,
        begin_identity as begin_identity,
        identity_like as identity_like,
        is_sampled as is_sampled,
        model_identity as model_identity,
        sampled_identity as sampled_identity,
    )
    from lightning_abkd.language.teachers._cache_meta import (
        CacheDtype as CacheDtype,
        CacheKind as CacheKind,
        CacheStatistics as CacheStatistics,
        known_model as known_model,
    )
    from lightning_abkd.language.teachers._cache_writer import TeacherCacheWriter as TeacherCacheWriter
    from lightning_abkd.language.teachers._counted_outputs import CountedOutputs as CountedOutputs
    from lightning_abkd.language.teachers._language_teacher import (
        LanguageTeacher as LanguageTeacher,
        TeacherAnswer as TeacherAnswer,
        TokenTeacher as TokenTeacher,
    )
    from lightning_abkd.language.teachers._separate_head import (
        SeparateHead as SeparateHead,
        separate_head as separate_head,
    )
    from lightning_abkd.language.teachers._teacher_from_cache import TeacherFromCache as TeacherFromCache
    from lightning_abkd.language.teachers._whole_identity import WholeIdentity as WholeIdentity
else:
    export_lazily(
        __name__,
        {
            "lightning_abkd.language.teachers._cache": ["TeacherCache"],
            "lightning_abkd.language.teachers._cache_identity": [
                "CacheIdentity",
                "begin_identity",
                "identity_like",
                "is_sampled",
                "model_identity",
                "sampled_identity",
            ],
            "lightning_abkd.language.teachers._cache_meta": [
                "CacheDtype",
                "CacheKind",
                "CacheStatistics",
                "known_model",
            ],
            "lightning_abkd.language.teachers._cache_writer": ["TeacherCacheWriter"],
            "lightning_abkd.language.teachers._counted_outputs": ["CountedOutputs"],
            "lightning_abkd.language.teachers._language_teacher": ["LanguageTeacher", "TeacherAnswer", "TokenTeacher"],
            "lightning_abkd.language.teachers._separate_head": ["SeparateHead", "separate_head"],
            "lightning_abkd.language.teachers._teacher_from_cache": ["TeacherFromCache"],
            "lightning_abkd.language.teachers._whole_identity": ["WholeIdentity"],
        },
    )
