"""Causal language models from folders, the hub, GGUF files or configurations, with adapters or fewer layers.

Here: factories annotated to return a `torch.nn.Module`, which a config names as a class path.
Not here: architectures (transformers has them), stored outputs (see `lightning_abkd.language.teachers`).
"""

from typing import TYPE_CHECKING

from lightning_abkd._utils import export_lazily

if TYPE_CHECKING:
    from lightning_abkd.language.models._adapters import lora as lora, merge_adapters as merge_adapters
    from lightning_abkd.language.models._causal_lm import (
        causal_lm as causal_lm,
        causal_lm_from_config as causal_lm_from_config,
    )
    from lightning_abkd.language.models._keep_layers import keep_layers as keep_layers
else:
    export_lazily(
        __name__,
        {
            "lightning_abkd.language.models._adapters": ["lora", "merge_adapters"],
            "lightning_abkd.language.models._causal_lm": ["causal_lm", "causal_lm_from_config"],
            "lightning_abkd.language.models._keep_layers": ["keep_layers"],
        },
    )
