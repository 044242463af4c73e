"""Where the teacher lies on several ranks, and that it is the same everywhere."""

import os

import pytest
import torch
from torch.utils.data import DataLoader

from lightning_abkd.modules import DistillationModule
from tests._processes import on_ranks
from tests.cluster._runs import (
    SGD,
    Parts,
    Tokens,
    image_module,
    images,
    language_module,
    mlp,
    seeded,
    trained,
    trainer,
)

F64 = torch.float64
MODULES = {
    "images": (image_module, images),
    "hidden states": (lambda dtype, **options: language_module(dtype, fused_head=True, **options), lambda _: Tokens()),
}


def local_bytes(network):
    parts = (getattr(parameter, "to_local", lambda p=parameter: p)() for parameter in network.parameters())
    return sum(part.nbytes for part in parts)


def sharded_teachers(strategies, placement):
    torch.set_default_dtype(F64)
    found = {}
    for strategy in strategies:
        for name, (build, data) in MODULES.items():
            module = build(F64, teacher_placement=placement)
            before = local_bytes(module.teacher)
            weights = trained(module, data(F64), strategy)
            found[name, strategy] = (weights, local_bytes(module.teacher) / before)
    return found


def test_a_sharded_teacher_gives_the_same_weights_from_half_of_its_bytes():
    found = on_ranks(sharded_teachers, 2, ("ddp", "fsdp2"), "shard")
    alone = on_ranks(sharded_teachers, 1, ("auto",), "offload")[0]
    for (name, _), (weights, share) in (pair for one in found for pair in one.items()):
        expected = alone[name, "auto"][0]
        assert share <= 0.55
        assert max(float((weights[key] - x).abs().max()) for key, x in expected.items()) < 1e-12


class Watch(DistillationModule):
    """Keeps the sizes of what DistributedDataParallel and the optimizer have."""

    def on_train_end(self):
        wrapper = self.trainer.strategy.model
        held = {id(parameter) for group in self.trainer.optimizers[0].param_groups for parameter in group["params"]}
        teacher = {id(parameter) for parameter in self.teacher.parameters()}
        self.seen = {
            "buffers to send": len(wrapper.modules_buffers),
            "bytes in buckets": wrapper._get_ddp_logging_data()["total_parameter_size_bytes"],
            "bytes of the student": sum(parameter.nbytes for parameter in self.student.parameters()),
            "in the optimizer": len(held & teacher),
            "in the module": len({id(parameter) for parameter in self.parameters()} & teacher),
            "in the state": [name for name in self.state_dict() if "teacher" in name],
        }


def largest_messages():
    """Run steps under the profiler; return what the module saw and how many elements a collective had at most."""
    teacher = torch.nn.Sequential(torch.nn.Linear(4, 500), torch.nn.ReLU(), torch.nn.Linear(500, 3))
    module = Watch(teacher, seeded(mlp, 2, torch.float32), optimizer=SGD)
    run = trainer("ddp")
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], record_shapes=True) as profile:
        run.fit(module, DataLoader(images(torch.float32), batch_sampler=Parts()))
    shapes = [event.input_shapes for event in profile.events() if event.name.startswith("gloo:")]
    sizes = [torch.Size(shape).numel() for event in shapes for shape in event if all(isinstance(n, int) for n in shape)]
    return module.seen, len(sizes), max(sizes)


def test_a_teacher_is_in_no_bucket_optimizer_state_or_message():
    for seen, messages, largest in on_ranks(largest_messages, 2):
        assert seen.pop("bytes in buckets") == seen.pop("bytes of the student")
        assert seen == {"buffers to send": 0, "in the optimizer": 0, "in the module": 0, "in the state": []}
        assert messages > 10
        # The teacher has 4003 numbers; the student has 59, and a checksum of each tensor is text.
        assert largest < 1000


def differing_teacher():
    module = image_module(torch.float32)
    with torch.no_grad():
        module.teacher[2].weight[1, 2] += 1e-6 * int(os.environ["RANK"])
    trained(module, images(torch.float32), "ddp")


def test_a_teacher_that_differs_between_ranks_is_an_error_that_names_the_weight():
    with pytest.raises(AssertionError, match=r"`2\.weight` of rank 1 differs from that of rank 0"):
        on_ranks(differing_teacher, 2)
