"""The language wing: causal language models, from files to responses.

Here: `data` (instructions and tokenizers), `models` (networks and adapters), `teachers` (separate heads and stored
outputs), `generation` (responses), `callbacks`, and the module that trains. Not here: anything about images.
"""

from typing import TYPE_CHECKING

from lightning_abkd._utils import export_lazily

if TYPE_CHECKING:
    from lightning_abkd.language._module import LanguageDistillationModule as LanguageDistillationModule
    from lightning_abkd.language.teachers import TeacherFromCache as TeacherFromCache
else:
    export_lazily(
        __name__,
        {
            "lightning_abkd.language._module": ["LanguageDistillationModule"],
            "lightning_abkd.language.teachers": ["TeacherFromCache"],
        },
    )
