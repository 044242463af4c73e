"""Responses of causal language models, and the batches that they make.

Here: how responses are drawn, and which training batches are made of them. Not here: their evaluation.
"""

from typing import TYPE_CHECKING

from lightning_abkd._utils import export_lazily

if TYPE_CHECKING:
    from lightning_abkd.language.generation._generation import (
        GeneratedResponses as GeneratedResponses,
        Responder as Responder,
        Sampling as Sampling,
        Special as Special,
        prompts_of as prompts_of,
        respond as respond,
        special_of as special_of,
        with_responses as with_responses,
    )
    from lightning_abkd.language.generation._on_policy import (
        AdaptiveOffPolicy as AdaptiveOffPolicy,
        OnPolicy as OnPolicy,
    )
else:
    export_lazily(
        __name__,
        {
            "lightning_abkd.language.generation._generation": [
                "Responder",
                "GeneratedResponses",
                "Sampling",
                "Special",
                "prompts_of",
                "respond",
                "special_of",
                "with_responses",
            ],
            "lightning_abkd.language.generation._on_policy": ["AdaptiveOffPolicy", "OnPolicy"],
        },
    )
