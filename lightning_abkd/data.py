"""Data modules and readers, by the addresses that configs name.

Images lie in `lightning_abkd.vision.data`, language in `lightning_abkd.language.data`: open the one you need.
"""

from typing import TYPE_CHECKING

from lightning_abkd._utils import export_lazily

if TYPE_CHECKING:
    from lightning_abkd.language.data import (
        IGNORED as IGNORED,
        InstructionDataModule as InstructionDataModule,
        Record as Record,
        TextSample as TextSample,
        Tokenizer as Tokenizer,
        alpaca_prompt as alpaca_prompt,
        byte_tokenizer as byte_tokenizer,
        check_same_tokens as check_same_tokens,
        collate as collate,
        fingerprint as fingerprint,
        read_records as read_records,
        real_vocabulary as real_vocabulary,
        tokenizer as tokenizer,
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
        read_class_names as read_class_names,
    )
else:
    export_lazily(
        __name__,
        {
            "lightning_abkd.language.data": [
                "IGNORED",
                "InstructionDataModule",
                "Record",
                "TextSample",
                "Tokenizer",
                "alpaca_prompt",
                "byte_tokenizer",
                "check_same_tokens",
                "collate",
                "fingerprint",
                "read_records",
                "real_vocabulary",
                "tokenizer",
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
                "read_class_names",
            ],
        },
    )
