"""LightningDataModules for image classification and causal language models.

The image modules yield batches `(images, labels)`: float32 images of shape (B, C, H, W), int64 labels of shape (B,).
`ImageDataModule` owns what they share: the split, the noise in the labels, the loaders and the checks. A subclass gives
its files, its transforms and its number of classes, and nothing else.

`InstructionDataModule` yields mappings of input_ids, attention_mask and labels, each (B, T), and index (B,). What it
reads goes from file to batch in four steps: `read_records` gives a `Record` for every record of a file, a template
writes its prompt, the tokenizer turns both into a `TextSample`, and samples are padded or packed into batches.
`seed_tasks.jsonl` holds the 175 seed tasks of Self-Instruct (Wang et al. 2022, yizhongw/self-instruct, Apache-2.0).

What does not live here: networks, losses, and anything that looks at a teacher's weights or outputs.
"""

from lightning_abkd.data._base_to_new import BaseToNewDataModule
from lightning_abkd.data._coop import read_class_names
from lightning_abkd.data._digits import DigitsDataModule
from lightning_abkd.data._folder import ImageFolderDataModule
from lightning_abkd.data._images import ImageDataModule
from lightning_abkd.data._instructions import InstructionDataModule
from lightning_abkd.data._prompts import alpaca_prompt
from lightning_abkd.data._records import Record, read_records
from lightning_abkd.data._samples import LabelledImages
from lightning_abkd.data._text_samples import IGNORED, TextSample, collate
from lightning_abkd.data._tokenizers import (
    Tokenizer,
    byte_tokenizer,
    check_same_tokens,
    fingerprint,
    real_vocabulary,
    tokenizer,
)
from lightning_abkd.data._torchvision import CIFAR10DataModule, CIFAR100DataModule, FashionMNISTDataModule
from lightning_abkd.data._transforms import image_transform

__all__ = [
    "IGNORED",
    "BaseToNewDataModule",
    "CIFAR10DataModule",
    "CIFAR100DataModule",
    "DigitsDataModule",
    "FashionMNISTDataModule",
    "ImageDataModule",
    "ImageFolderDataModule",
    "InstructionDataModule",
    "LabelledImages",
    "Record",
    "TextSample",
    "Tokenizer",
    "alpaca_prompt",
    "byte_tokenizer",
    "check_same_tokens",
    "collate",
    "fingerprint",
    "image_transform",
    "read_class_names",
    "read_records",
    "real_vocabulary",
    "tokenizer",
]
