"""Data modules and readers, under the paths that configs use.

This file only lists names. Those for images are defined in `lightning_abkd.vision.data`, those for language in
`lightning_abkd.language.data`.
"""

from typing import TYPE_CHECKING

from lightning_abkd._utils import export_lazily

if TYPE_CHECKING:
    from lightning_abkd.language.data import (
        IGNORE_INDEX as IGNORE_INDEX,
        InstructionDataModule as InstructionDataModule,
        Record as Record,
        TextSample as TextSample,
        Tokenizer as Tokenizer,
        alpaca_prompt as alpaca_prompt,
        byte_tokenizer as byte_tokenizer,
        check_same_tokens as check_same_tokens,
        collate as collate,
        load_tokenizer as load_tokenizer,
        read_records as read_records,
        tokenizer_fingerprint as tokenizer_fingerprint,
        vocabulary_size as vocabulary_size,
    )
    from lightning_abkd.vision.data import (
        BaseToNewDataModule as BaseToNewDataModule,
        CIFAR10DataModule as CIFAR10DataModule,
        CIFAR100DataModule as CIFAR100DataModule,
        DigitsDataModule as DigitsDataModule,
        FashionMNISTDataModule as FashionMNISTDataModule,
        ImageDataModule as ImageDataModule,
        ImageFolderDataModule as ImageFolderDataModule,
        LabelledImages as LabelledImages,
        image_transform as image_transform,
        open_image as open_image,
        read_class_names as read_class_names,
    )
else:
    export_lazily(
        __name__,
        {
            "lightning_abkd.language.data": [
                "IGNORE_INDEX",
                "InstructionDataModule",
                "Record",
                "TextSample",
                "Tokenizer",
                "alpaca_prompt",
                "byte_tokenizer",
                "check_same_tokens",
                "collate",
                "tokenizer_fingerprint",
                "read_records",
                "vocabulary_size",
                "load_tokenizer",
            ],
            "lightning_abkd.vision.data": [
                "BaseToNewDataModule",
                "CIFAR100DataModule",
                "CIFAR10DataModule",
                "DigitsDataModule",
                "FashionMNISTDataModule",
                "ImageDataModule",
                "ImageFolderDataModule",
                "LabelledImages",
                "image_transform",
                "open_image",
                "read_class_names",
            ],
        },
        renamed={
            "fingerprint": "tokenizer_fingerprint",
            "tokenizer": "load_tokenizer",
            "real_vocabulary": "vocabulary_size",
            "IGNORED": "IGNORE_INDEX",
        },
    )
