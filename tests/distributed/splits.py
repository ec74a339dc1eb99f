"""Convolutions split over processes in every way there is: the cases, and what each process makes of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

import tatamu

DTYPE = torch.float64


@dataclass(frozen=True)
class Case:
    """A convolution, and along which dimension its operands are split; None where they are whole.

    With `second`, the mesh has two dimensions, of 2 processes each, and these are for the second one.
    """

    input_size: tuple[int, int, int, int]
    weight_size: tuple[int, int, int, int]
    stride: Any = 1
    padding: Any = 0
    dilation: Any = 1
    groups: int = 1
    mode: str = "zeros"
    split: tuple[int | None, int | None] = (2, None)
    second: tuple[int | None, int | None] | None = None
    dtype: torch.dtype = DTYPE
    channels_last: bool = False

    def operands(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Input, weight, bias, and the gradient of the output."""
        draw = torch.Generator().manual_seed(0)

        def drawn(*size: int) -> Tensor:
            return torch.randn(size, generator=draw, dtype=torch.float64).to(self.dtype)

        x, w, b = drawn(*self.input_size), drawn(*self.weight_size), drawn(self.weight_size[0])
        size = _convolved(self, x.to("meta"), w.to("meta"), b.to("meta")).shape
        if self.channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        return x, w, b, drawn(*size)


def _rows(kernel: int, height: int, *, channels: int = 3, **arguments: Any) -> Case:
    return Case((2, channels, height, 6), (4, channels // arguments.get("groups", 1), kernel, 3), **arguments)


IMAGES, OUT, IN = 0, 0, 1
ONE: dict[str, Case] = {
    "batch": Case((4, 3, 7, 6), (5, 3, 3, 3), padding=1, split=(IMAGES, None)),
    "batch that does not divide": Case((5, 3, 7, 6), (5, 3, 3, 3), stride=2, split=(IMAGES, None)),
    "fewer images than processes": Case((1, 3, 7, 6), (5, 3, 3, 3), split=(IMAGES, None)),
    "output channels": Case((2, 3, 7, 6), (8, 3, 3, 3), padding=1, split=(None, OUT)),
    "output channels that do not divide": Case((2, 3, 7, 6), (5, 3, 3, 3), split=(None, OUT)),
    "fewer channels than processes": Case((2, 3, 7, 6), (1, 3, 3, 3), split=(None, OUT)),
    "groups": Case((2, 8, 7, 6), (8, 2, 3, 3), groups=4, split=(IN, OUT)),
    "groups, of a whole input": Case((2, 8, 7, 6), (8, 2, 3, 3), groups=4, split=(None, OUT)),
    "depthwise": Case((2, 8, 7, 6), (8, 1, 3, 3), groups=8, padding=1, split=(IN, None)),
    "groups that do not divide": Case((2, 6, 7, 6), (6, 2, 3, 3), groups=3, split=(IN, OUT)),
    "input channels": Case((2, 8, 7, 6), (5, 8, 3, 3), split=(IN, None)),
    "columns": Case((2, 3, 7, 6), (5, 3, 3, 3), split=(3, None)),
    "batch and output channels": Case((4, 3, 7, 6), (8, 3, 3, 3), split=(IMAGES, OUT)),
    "rows": _rows(3, 16, padding=1),
    "rows, no padding": _rows(3, 16),
    "rows that do not divide": _rows(3, 13, padding=1),
    "rows, an even kernel": _rows(4, 13, padding="same"),
    "rows, stride": _rows(3, 17, stride=2, padding=1),
    "rows, stride without overlap": _rows(2, 17, stride=3),
    "rows, dilation": _rows(3, 17, dilation=3, padding=3),
    "rows, one pixel": _rows(1, 9),
    "rows, padding on one side": _rows(3, 11, padding=((3, 0), (1, 2))),
    "rows, stride and 'same_upper'": _rows(3, 12, stride=2, padding="same_upper"),
    "rows, more padding than image": _rows(3, 4, padding=9),
    "rows, a kernel larger than a part": _rows(9, 9, padding=4),
    "rows, fewer than processes": _rows(3, 3, padding=1),
    "rows, one": _rows(1, 1),
    "rows, groups": _rows(3, 11, channels=4, groups=2, padding=1),
    "rows, reflect": _rows(5, 11, padding=2, mode="reflect"),
    "rows, replicate": _rows(5, 11, padding=2, mode="replicate"),
    "rows, circular": _rows(5, 11, padding=2, mode="circular", stride=2),
    "rows and output channels": _rows(3, 11, padding=1, split=(2, OUT)),
    "rows, channels_last": _rows(3, 11, padding=1, channels_last=True),
    "rows, float32": _rows(3, 11, padding=1, dtype=torch.float32),
    "rows, bfloat16": _rows(3, 11, padding=1, dtype=torch.bfloat16),
    "rows, complex": _rows(3, 11, padding=1, dtype=torch.complex128),
}
TWO: dict[str, Case] = {
    "batch × output channels": Case((4, 3, 9, 6), (6, 3, 3, 3), split=(0, None), second=(None, OUT)),
    "batch × rows": Case((3, 3, 9, 6), (6, 3, 3, 3), padding=1, split=(0, None), second=(2, None)),
    "rows × output channels": Case(
        (2, 3, 9, 6), (6, 3, 3, 3), padding=1, split=(2, None), second=(None, OUT)
    ),
    "rows × rows": Case((2, 3, 9, 6), (6, 3, 3, 3), padding=1, split=(2, None), second=(2, None)),
    "groups × groups": Case((2, 8, 9, 6), (8, 2, 3, 3), groups=4, split=(1, OUT), second=(1, OUT)),
    "groups × groups, two in all": Case(
        (2, 8, 9, 6), (8, 4, 3, 3), groups=2, split=(1, OUT), second=(1, OUT)
    ),
}


def _convolved(case: Case, x: Tensor, w: Tensor, b: Tensor) -> Tensor:
    from tatamu.functional import convolution  # noqa: PLC0415

    return convolution(x, w, b, case.stride, case.padding, case.dilation, case.groups, case.mode)


@dataclass(frozen=True)
class Found:
    """Of a case, in one process."""

    whole: dict[str, Tensor]
    """Output and gradients, put together."""
    part: tuple[int, ...]
    """The size of this process's part of the output."""


def together() -> dict[str, Any]:
    """Every case, and what is not a case: a network, second derivatives, mistakes."""
    from torch.distributed.device_mesh import init_device_mesh  # noqa: PLC0415

    ranks = dist.get_world_size()
    mesh = init_device_mesh("cpu", (ranks,))
    found: dict[str, Any] = {}
    if ranks == 2:  # First: nothing has taught DTensor the operators yet.
        found["compiled"] = _compiled(mesh)
    found |= {name: _found(case, mesh) for name, case in ONE.items()}
    if ranks == 4:
        square = init_device_mesh("cpu", (2, 2))
        found |= {name: _found(case, square) for name, case in TWO.items()}
    return found | {"network": _network(mesh), "mistakes": _mistakes(mesh)}


def _found(case: Case, mesh: Any) -> Found:
    from torch.distributed.tensor import Replicate, Shard, distribute_tensor  # noqa: PLC0415

    def placed(tensor: Tensor, operand: int) -> Tensor:
        dims = [split[operand] for split in (case.split, case.second) if split is not None]
        placements = [Replicate() if dim is None else Shard(dim) for dim in dims]
        return distribute_tensor(tensor, mesh, placements)

    x, w, b, gy = case.operands()
    x, w, b = (placed(it, operand).requires_grad_() for it, operand in ((x, 0), (w, 1), (b, 1)))
    y: Any = _convolved(case, x, w, b)
    gy = distribute_tensor(gy, mesh, y.placements)
    gx, gw, gb = torch.autograd.grad(y, (x, w, b), gy, create_graph=True)
    # The derivatives of the gradients, each of which is another map.
    ggx, ggw = torch.autograd.grad((gx, gw), (x, w), (gx.detach(), gw.detach()))
    whole = {"y": y, "gx": gx, "gw": gw, "gb": gb, "ggx": ggx, "ggw": ggw}
    return Found({name: it.detach().full_tensor() for name, it in whole.items()}, tuple(y.to_local().shape))


def expected(case: Case) -> dict[str, Tensor]:
    """The same by torch, in one process and twice the precision."""
    wide = torch.complex128 if case.dtype.is_complex else torch.float64
    x, w, b, gy = (it.to(wide) for it in case.operands())
    x, w, b = (it.requires_grad_() for it in (x, w, b))
    rows, columns = _padding(case)
    mode = "constant" if case.mode == "zeros" else case.mode
    padded = nn.functional.pad(x, (*columns, *rows), mode)
    y = nn.functional.conv2d(padded, w, b, case.stride, 0, case.dilation, case.groups)
    gx, gw, gb = torch.autograd.grad(y, (x, w, b), gy, create_graph=True)
    ggx, ggw = torch.autograd.grad((gx, gw), (x, w), (gx.detach(), gw.detach()))
    return {"y": y, "gx": gx, "gw": gw, "gb": gb, "ggx": ggx, "ggw": ggw}


def _padding(case: Case) -> tuple[tuple[int, int], tuple[int, int]]:
    """(top, bottom), (left, right)."""
    if isinstance(case.padding, tuple):
        return case.padding
    if isinstance(case.padding, int):
        return (case.padding, case.padding), (case.padding, case.padding)
    sizes = zip(case.input_size[2:], case.weight_size[2:], strict=True)
    total = [max(0, (-(-size // case.stride) - 1) * case.stride + kernel - size) for size, kernel in sizes]
    (top, bottom), (left, right) = ((amount // 2, amount - amount // 2) for amount in total)
    return (top, bottom), (left, right)


def layers(layer: type[nn.Conv2d]) -> nn.Sequential:
    """What an image too large for one process goes through."""
    torch.manual_seed(0)
    return nn.Sequential(
        layer(3, 8, 3, padding=1),
        nn.SiLU(),
        layer(8, 8, 3, stride=2, padding=1, groups=8, padding_mode="replicate", bias=False),
        nn.SiLU(),
        layer(8, 4, 5, padding="same"),
    ).double()


def image() -> Tensor:
    return torch.randn(1, 3, 37, 9, dtype=DTYPE, generator=torch.Generator().manual_seed(0))


def _compiled(mesh: Any) -> Found:
    return _network(mesh, lambda model: torch.compile(model, fullgraph=True, backend="aot_eager"))


def _network(mesh: Any, prepared: Callable[[nn.Module], Any] = lambda model: model) -> Found:
    from torch.distributed.tensor import Shard, distribute_module, distribute_tensor  # noqa: PLC0415

    model = distribute_module(layers(tatamu.Conv2d), mesh)
    y = prepared(model)(distribute_tensor(image(), mesh, [Shard(2)]))
    y.square().sum().backward()
    whole = {name: it.grad.full_tensor() for name, it in model.named_parameters()}
    return Found(whole | {"y": y.detach().full_tensor()}, tuple(y.to_local().shape))


def _mistakes(mesh: Any) -> list[str]:
    """The class and sentence of each."""
    from torch.distributed.device_mesh import init_device_mesh  # noqa: PLC0415
    from torch.distributed.tensor import Replicate, distribute_tensor  # noqa: PLC0415

    x, w = torch.randn(1, 2, 5, 5), torch.randn(3, 2, 3, 3)
    other = init_device_mesh("cpu", (mesh.size(), 1))
    dx = distribute_tensor(x, mesh, [Replicate()])

    def sentence(input: Tensor, weight: Tensor) -> str:
        try:
            tatamu.conv2d(input, weight)
        except tatamu.TatamuError as error:
            return f"{type(error).__name__}: {error}"
        return "none"

    elsewhere = distribute_tensor(w, other, [Replicate(), Replicate()])
    return [sentence(dx, w), sentence(x, dx), sentence(dx, elsewhere)]
