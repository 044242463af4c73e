"""Responses of causal language models, and training batches made of them.

Here: how responses are drawn, and which training batches are made of them. Not here: their evaluation.
"""

from typing import TYPE_CHECKING

from lightning_abkd._utils import export_lazily

if TYPE_CHECKING:
    from lightning_abkd.language.generation._on_policy import (
        AdaptiveOffPolicy as AdaptiveOffPolicy,
        OnPolicy as OnPolicy,
    )
    from lightning_abkd.language.generation._respond import (
        prompts_of as prompts_of,
        respond as respond,
        with_responses as with_responses,
    )
    from lightning_abkd.language.generation._responder import (
        GeneratedResponses as GeneratedResponses,
        Responder as Responder,
        Role as Role,
    )
    from lightning_abkd.language.generation._sampling import (
        Sampling as Sampling,
        SpecialIds as SpecialIds,
        seed_of_stream as seed_of_stream,
        special_ids_of as special_ids_of,
    )
else:
    export_lazily(
        __name__,
        {
            "lightning_abkd.language.generation._on_policy": ["AdaptiveOffPolicy", "OnPolicy"],
            "lightning_abkd.language.generation._respond": ["prompts_of", "respond", "with_responses"],
            "lightning_abkd.language.generation._responder": ["GeneratedResponses", "Responder", "Role"],
            "lightning_abkd.language.generation._sampling": [
                "Sampling",
                "SpecialIds",
                "seed_of_stream",
                "special_ids_of",
            ],
        },
    )
