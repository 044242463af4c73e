"""The folder of somebody who runs the shipped configs: small networks, texts and images where they expect their own."""

import importlib
import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import cast, get_args

import torch
import yaml
from torchvision.models import ResNet34_Weights, resnet34
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from lightning_abkd.data import byte_tokenizer
from lightning_abkd.models import causal_lm_from_config, lora
from lightning_abkd.vision.data._coop import CoOpSet
from tests.vision.data._coop import write_coop
from tests.vision.data._formats import write_cifar100, write_fashion_mnist
from tests.vision.models._clips import write_clip

ROOT = Path(__file__).parent.parent
COOP = sorted(get_args(CoOpSet))
Sizes = dict[str, int | float | str | bool]
SIZES: Sizes = {"vocab_size": 384, "bos_token_id": 1, "eos_token_id": 1}
GPT2 = SIZES | {"n_layer": 1, "n_embd": 8, "n_head": 2, "n_positions": 176}
LLAMA = SIZES | {"hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 2, "max_position_embeddings": 176}
NETWORKS: dict[str, tuple[str, Sizes]] = {
    "openai-community/gpt2": ("gpt2", GPT2),
    "openai-community/gpt2-xl": ("gpt2", GPT2),
    "models/gpt2-dolly": ("gpt2", GPT2),
    "models/gpt2-medium-dolly": ("gpt2", GPT2),
    "models/gpt2-large-dolly": ("gpt2", GPT2),
    "models/gpt2-xl-dolly": ("gpt2", GPT2 | {"n_layer": 2}),
    "models/openllama-7b-dolly": ("llama", LLAMA | {"num_hidden_layers": 2}),
    "openlm-research/open_llama_3b_v2": ("llama", LLAMA | {"num_hidden_layers": 1}),
    "HuggingFaceTB/SmolLM2-135M-Instruct": ("llama", LLAMA | {"num_hidden_layers": 30}),
}
TEXTS = ["instructions"] + [f"dolly/{name}" for name in ("train", "valid", "test")]
TEXTS += [f"{name}/test" for name in ("self_instruct", "vicuna", "sinst", "uinst")]


def write_home(home: Path) -> Path:
    """Write small networks and texts where the configs expect their own, and return the folder."""
    (home / "configs").symlink_to(ROOT / "configs")
    tokenizer = cast(PreTrainedTokenizerFast, byte_tokenizer())
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}\n{% endfor %}"
    for folder, (kind, options) in NETWORKS.items():
        network = cast(PreTrainedModel, causal_lm_from_config(kind, options))
        network.save_pretrained(home / folder)
        tokenizer.save_pretrained(home / folder)
    if find_spec("peft") is not None:
        adapted = cast(PreTrainedModel, lora(causal_lm_from_config(*NETWORKS["openlm-research/open_llama_3b_v2"])))
        adapted.save_pretrained(home / "models" / "openllama-3b-dolly-lora", save_embedding_layers=False)
    lines = [json.dumps({"instruction": f"say {i}", "output": "x" * (1 + i % 5)}) for i in range(8)]
    for text in TEXTS:
        path = home / "data" / f"{text}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines))
    write_fashion_mnist(home / "data", 40)
    write_cifar100(home / "data", 40)
    hub = home / "hub" / "checkpoints"
    hub.mkdir(parents=True)
    torch.save(resnet34().state_dict(), hub / Path(ResNet34_Weights.IMAGENET1K_V1.url).name)
    for dataset in COOP:
        write_coop(home / "data", dataset, classes=4, per_class=8)
    for name, size in {"large-patch14": 7, "base-patch16": 6}.items():
        write_clip(home / "openai" / f"clip-vit-{name}", size, layers=9, image_size=224)
    return home


def write_teacher(command: Sequence[str]) -> None:
    """Save an untrained network where one of the configs expects its teacher and none is."""
    for path in command[2::2]:
        config = yaml.safe_load((ROOT / path).read_text())
        spec = config.get("model", {}).get("init_args", {}).get("teacher", {}).get("init_args", {})
        if "checkpoint" in spec and not Path(spec["checkpoint"]).exists():
            module, _, name = spec["network"]["class_path"].rpartition(".")
            network = getattr(importlib.import_module(module), name)(**spec["network"].get("init_args", {}))
            Path(spec["checkpoint"]).parent.mkdir(parents=True, exist_ok=True)
            torch.save(network.state_dict(), spec["checkpoint"])
