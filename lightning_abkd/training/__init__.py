"""What training shares between images and language: the module, the frozen teacher, signals, schedulers, weights.

Not here: losses (`lightning_abkd.losses`), and anything that only one of the two needs.
"""

from typing import TYPE_CHECKING

from lightning_abkd._utils import export_lazily

if TYPE_CHECKING:
    from lightning_abkd.training._alpha_beta_scheduler import AlphaBetaScheduler as AlphaBetaScheduler
    from lightning_abkd.training._batches import (
        Batch as Batch,
        Signals as Signals,
        inputs_of as inputs_of,
        tensors_in as tensors_in,
        views_of as views_of,
    )
    from lightning_abkd.training._calls import refuse_other_calls as refuse_other_calls
    from lightning_abkd.training._checkpoint import (
        check_weights as check_weights,
        load_pretrained as load_pretrained,
        load_weights as load_weights,
        save_weights as save_weights,
    )
    from lightning_abkd.training._checkpoint_files import (
        ForeignCheckpointError as ForeignCheckpointError,
        is_sharded_checkpoint as is_sharded_checkpoint,
        without_weights as without_weights,
    )
    from lightning_abkd.training._checks import (
        IGNORED as IGNORED,
        check_labels as check_labels,
        is_watched as is_watched,
        logits_of as logits_of,
    )
    from lightning_abkd.training._distillation import DistillationModule as DistillationModule
    from lightning_abkd.training._eval_mode import eval_mode as eval_mode
    from lightning_abkd.training._hyperparameter_scheduler import HyperparameterScheduler as HyperparameterScheduler
    from lightning_abkd.training._labels import target_of as target_of
    from lightning_abkd.training._length import training_length as training_length
    from lightning_abkd.training._lightning import (
        callbacks_of as callbacks_of,
        checkpoint_content as checkpoint_content,
        datamodule_of as datamodule_of,
        trainer_of as trainer_of,
        write_checkpoints_whole as write_checkpoints_whole,
    )
    from lightning_abkd.training._log_once import LogOnce as LogOnce
    from lightning_abkd.training._lost_processes import killed_worker as killed_worker, lost_rank as lost_rank
    from lightning_abkd.training._lr_combinations import ProductLR as ProductLR, SequenceLR as SequenceLR
    from lightning_abkd.training._lr_schedules import (
        TransformersLR as TransformersLR,
        WarmupConstantLR as WarmupConstantLR,
        WarmupCosineLR as WarmupCosineLR,
        WarmupLinearLR as WarmupLinearLR,
        WholeCycleLR as WholeCycleLR,
    )
    from lightning_abkd.training._non_finite_guard import NonFiniteGuard as NonFiniteGuard, guard_of as guard_of
    from lightning_abkd.training._own_names import (
        own_names as own_names,
        own_state as own_state,
        unwrap as unwrap,
    )
    from lightning_abkd.training._pieces import (
        has_pieces as has_pieces,
        is_sharded as is_sharded,
        whole_state as whole_state,
    )
    from lightning_abkd.training._repeated_rows import Repeated as Repeated, repeated_row as repeated_row
    from lightning_abkd.training._replay import Replay as Replay, replay_batch as replay_batch
    from lightning_abkd.training._shard_metadata import METADATA as METADATA, check_metadata as check_metadata
    from lightning_abkd.training._signal_checkpoint import (
        SignalCheckpoint as SignalCheckpoint,
        signal_checkpoints as signal_checkpoints,
    )
    from lightning_abkd.training._stage_names import Stage as Stage
    from lightning_abkd.training._step_log import (
        is_logged as is_logged,
        log_agreed as log_agreed,
        log_step as log_step,
    )
    from lightning_abkd.training._strategies import register_strategies as register_strategies
    from lightning_abkd.training._teacher import Teacher as Teacher, TeacherDtype as TeacherDtype, call as call
    from lightning_abkd.training._teacher_check import (
        describe_ignorance as describe_ignorance,
        is_chance as is_chance,
    )
    from lightning_abkd.training._training_order import (
        ResumableData as ResumableData,
        ResumableLoader as ResumableLoader,
        TrainingOrder as TrainingOrder,
        seeded_augmentation as seeded_augmentation,
    )
else:
    export_lazily(
        __name__,
        {
            "lightning_abkd.training._alpha_beta_scheduler": ["AlphaBetaScheduler"],
            "lightning_abkd.training._batches": ["Batch", "Signals", "inputs_of", "tensors_in", "views_of"],
            "lightning_abkd.training._calls": ["refuse_other_calls"],
            "lightning_abkd.training._checkpoint": ["check_weights", "load_weights", "load_pretrained", "save_weights"],
            "lightning_abkd.training._checkpoint_files": [
                "ForeignCheckpointError",
                "is_sharded_checkpoint",
                "without_weights",
            ],
            "lightning_abkd.training._checks": ["IGNORED", "check_labels", "is_watched", "logits_of"],
            "lightning_abkd.training._distillation": ["DistillationModule"],
            "lightning_abkd.training._eval_mode": ["eval_mode"],
            "lightning_abkd.training._hyperparameter_scheduler": ["HyperparameterScheduler"],
            "lightning_abkd.training._labels": ["target_of"],
            "lightning_abkd.training._length": ["training_length"],
            "lightning_abkd.training._lightning": [
                "callbacks_of",
                "checkpoint_content",
                "datamodule_of",
                "trainer_of",
                "write_checkpoints_whole",
            ],
            "lightning_abkd.training._log_once": ["LogOnce"],
            "lightning_abkd.training._lost_processes": ["killed_worker", "lost_rank"],
            "lightning_abkd.training._lr_combinations": ["ProductLR", "SequenceLR"],
            "lightning_abkd.training._lr_schedules": [
                "TransformersLR",
                "WarmupConstantLR",
                "WarmupCosineLR",
                "WarmupLinearLR",
                "WholeCycleLR",
            ],
            "lightning_abkd.training._non_finite_guard": ["NonFiniteGuard", "guard_of"],
            "lightning_abkd.training._own_names": ["own_names", "own_state", "unwrap"],
            "lightning_abkd.training._replay": ["Replay", "replay_batch"],
            "lightning_abkd.training._repeated_rows": ["Repeated", "repeated_row"],
            "lightning_abkd.training._shard_metadata": ["METADATA", "check_metadata"],
            "lightning_abkd.training._signal_checkpoint": ["SignalCheckpoint", "signal_checkpoints"],
            "lightning_abkd.training._pieces": ["has_pieces", "is_sharded", "whole_state"],
            "lightning_abkd.training._stage_names": ["Stage"],
            "lightning_abkd.training._step_log": ["is_logged", "log_agreed", "log_step"],
            "lightning_abkd.training._strategies": ["register_strategies"],
            "lightning_abkd.training._teacher": ["Teacher", "TeacherDtype", "call"],
            "lightning_abkd.training._teacher_check": ["describe_ignorance", "is_chance"],
            "lightning_abkd.training._training_order": [
                "ResumableData",
                "ResumableLoader",
                "TrainingOrder",
                "seeded_augmentation",
            ],
        },
    )
