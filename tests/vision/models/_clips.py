"""Tiny CLIPs in folders, as transformers keeps them."""

import string
from pathlib import Path

from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

TOWER = {"hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 2}


def write_clip(folder: Path, projection: int = 6, layers: int = 3, image_size: int = 8) -> CLIPModel:
    """Save an untrained model of `layers` layers with 2×2 patches, and a tokenizer of letters."""
    letters = [*string.ascii_lowercase, *string.digits, ".", ",", "_"]
    tokens = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    text = {"vocab_size": len(tokens), "bos_token_id": 0, "eos_token_id": 1, "num_hidden_layers": 2}
    vision = {"image_size": image_size, "patch_size": image_size // 2, "num_hidden_layers": layers}
    model = CLIPModel(CLIPConfig(text_config=TOWER | text, vision_config=TOWER | vision, projection_dim=projection))
    model.save_pretrained(folder)
    CLIPTokenizer({token: i for i, token in enumerate(tokens)}, []).save_pretrained(folder)
    model.eval()
    return model
