"""Instructions, conversations and plain text as batches of tokens.

A text goes from its file to a batch in four steps: `read_records` reads a `Record`, a template writes its prompt, the
tokenizer turns both into a `TextSample`, and samples are padded or packed into batches. `seed_tasks.jsonl` holds the
175 seed tasks of Self-Instruct (Wang et al. 2022, yizhongw/self-instruct, Apache-2.0).
"""

from typing import TYPE_CHECKING

from lightning_abkd._utils import export_lazily

if TYPE_CHECKING:
    from lightning_abkd.language.data._instructions import InstructionDataModule as InstructionDataModule
    from lightning_abkd.language.data._prompts import alpaca_prompt as alpaca_prompt
    from lightning_abkd.language.data._record import Record as Record
    from lightning_abkd.language.data._records import read_records as read_records
    from lightning_abkd.language.data._text_samples import (
        IGNORE_INDEX as IGNORE_INDEX,
        TextSample as TextSample,
        collate as collate,
        pad_batch as pad_batch,
    )
    from lightning_abkd.language.data._tokenizers import (
        Tokenizer as Tokenizer,
        byte_tokenizer as byte_tokenizer,
        check_same_tokens as check_same_tokens,
        load_tokenizer as load_tokenizer,
        tokenizer_fingerprint as tokenizer_fingerprint,
        vocabulary_size as vocabulary_size,
    )
else:
    export_lazily(
        __name__,
        {
            "lightning_abkd.language.data._instructions": ["InstructionDataModule"],
            "lightning_abkd.language.data._prompts": ["alpaca_prompt"],
            "lightning_abkd.language.data._record": ["Record"],
            "lightning_abkd.language.data._records": ["read_records"],
            "lightning_abkd.language.data._text_samples": ["IGNORE_INDEX", "TextSample", "collate", "pad_batch"],
            "lightning_abkd.language.data._tokenizers": [
                "Tokenizer",
                "byte_tokenizer",
                "check_same_tokens",
                "tokenizer_fingerprint",
                "vocabulary_size",
                "load_tokenizer",
            ],
        },
    )
