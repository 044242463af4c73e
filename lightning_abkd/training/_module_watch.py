"""Which module of a network is the first whose output is not finite."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.modules.module import _global_forward_hooks_with_kwargs, register_module_forward_hook
from torch.utils.hooks import RemovableHandle

from lightning_abkd.training._batches import tensors_in
from lightning_abkd.training._pieces import local_part

Networks = Mapping[str, nn.Module | None]


@dataclass
class _Call:
    """One call of a module: whether its inputs and outputs are wrong, and the gradients with respect to them."""

    module: nn.Module
    inputs: list[Tensor]
    outputs: list[Tensor]
    input_gradients: list[Tensor] = field(default_factory=list)
    output_gradients: list[Tensor] = field(default_factory=list)

    def breaks_gradient(self) -> bool:
        """Return True if a finite gradient comes in from behind and leads to one that is not finite."""
        if _any(self.output_gradients):
            return False
        parameters = [p.grad for p in self.module.parameters() if p.grad is not None]
        return _any(self.input_gradients) or _any([_is_wrong(gradient) for gradient in parameters])


class ModuleWatch:
    """Watches every call of the modules of some networks, forward and backward, while it is on.

    One hook serves all modules of the process, so that no network has a hook of its own: one that is taken apart stays
    so. What is found stays on the device until somebody asks. While it is off, it costs nothing.

    Args:
        networks: Returns the networks by the names that sentences call them.

    Example:
        >>> network = nn.Sequential(nn.Linear(1, 1), nn.Flatten())
        >>> _ = network[0].weight.data.fill_(torch.nan)
        >>> watch = ModuleWatch(lambda: {"student": network})
        >>> watch.start()
        >>> _ = network(torch.ones(1, 1))
        >>> watch.stop()
        >>> watch.first_output()
        "the student's `0` (Linear), whose `weight` is not finite"
    """

    # Tells those who ask what hooks there are that this one changes nothing.
    only_looks = True

    def __init__(self, networks: Callable[[], Networks]) -> None:
        self._networks = networks
        self._names: dict[nn.Module, str] = {}
        self._calls: list[_Call] = []
        self._handle: RemovableHandle | None = None

    def start(self) -> None:
        """Watch from now on, unless it does already."""
        self.begin()
        if self._handle is None:
            self._handle = register_module_forward_hook(self, with_kwargs=True)

    def stop(self) -> None:
        """Watch no more; what was seen last can still be asked for."""
        if self._handle is not None:
            self._handle.remove()
            # torch 2.14 forgets this when it removes a hook, and believes that there is one ever after.
            _global_forward_hooks_with_kwargs.pop(self._handle.id, None)
        self._handle = None

    def begin(self) -> None:
        """Forget the calls so far, and read the networks' modules again: a batch begins."""
        self._calls = []
        self._names = {
            module: f"the {name}'s `{path}`" if path else f"the {name}"
            for name, network in self._networks().items()
            if network is not None
            for path, module in network.named_modules()
        }

    def first_output(self) -> str:
        """Name the first module whose output is not finite while its inputs are; return an empty text for none."""
        found = next((x for x in self._calls if _any(x.outputs) and not _any(x.inputs)), None)
        return "" if found is None else f"{self._described(found.module)}{_broken(found.module)}"

    def first_gradient(self) -> str:
        """Name the first module in the backward pass that turns a finite gradient into one that is not.

        Returns:
            The module, or "the loss" if the gradient that it gives is not finite; an empty text if no module was called
            whose gradients are known.
        """
        known = [call for call in self._calls if call.output_gradients]
        innermost = _innermost([call.module for call in known if call.breaks_gradient()])
        if innermost:
            return self._described(innermost[-1])
        return "the loss" if known and _any(known[-1].output_gradients) else ""

    def _described(self, module: nn.Module) -> str:
        return f"{self._names[module]} ({type(module).__name__})"

    @torch.compiler.disable
    def __call__(self, module: nn.Module, args: object, kwargs: object, output: object) -> None:
        """Look at a call of a module, and at its gradients later on."""
        if module not in self._names:
            return
        inputs = [x for x in tensors_in((args, kwargs)) if x.is_floating_point()]
        outputs = [x for x in tensors_in(output) if x.is_floating_point()]
        # Inputs may be masks, which hold -inf.
        call = _Call(module, [_is_wrong(x, masks=True) for x in inputs], [_is_wrong(x) for x in outputs])
        self._calls.append(call)
        for tensors, gradients in ((inputs, call.input_gradients), (outputs, call.output_gradients)):
            for tensor in tensors:
                _watch_gradient(tensor, gradients)


def _watch_gradient(tensor: Tensor, found: list[Tensor]) -> None:
    if tensor.requires_grad and torch.is_grad_enabled():
        tensor.register_hook(lambda gradient: found.append(_is_wrong(gradient)))


def _is_wrong(values: Tensor, masks: bool = False) -> Tensor:
    part = local_part(values.detach())
    right = part.isfinite() | part.isneginf() if masks else part.isfinite()
    return ~right.all()


def _any(flags: Sequence[Tensor]) -> bool:
    return any(bool(flag) for flag in flags)


def _innermost(modules: Sequence[nn.Module]) -> list[nn.Module]:
    """Return the modules that have none of the others within."""
    within = {module: {*module.modules()} - {module} for module in modules}
    return [module for module in modules if not within[module] & {*modules}]


def _broken(module: nn.Module) -> str:
    """Say which of a module's own weights is not finite, if one is."""
    names = [name for name, p in module.named_parameters(recurse=False) if bool(_is_wrong(p))]
    return f", whose `{names[0]}` is not finite" if names else ""
