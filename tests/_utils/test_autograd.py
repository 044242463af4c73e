import torch

from lightning_abkd._utils import Context


class _Double(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Context, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        ctx.mark_non_differentiable(flag := x > 0)
        assert ctx.needs_input_grad == (True,)
        return 2 * x, flag

    @staticmethod
    def backward(ctx: Context, upstream: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        assert len(ctx.saved_tensors) == 1
        return 2 * upstream


def test_torch_hands_what_the_protocol_names():
    x = torch.ones(1, requires_grad=True)
    _Double.apply(x)[0].backward()
    assert x.grad.item() == 2.0
    assert hasattr(torch.autograd.function.FunctionCtx, "mark_dirty")
