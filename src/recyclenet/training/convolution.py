"""Convolutions whose gradients a CPU computes in float32.

PyTorch's own bfloat16 gradients are not fit for two kinds of convolution on a CPU:

- depthwise ones, unless they are 3x3 of stride 1, are slow (`benchmarks/training_step.py`);
- those with more padding than the map has rows or columns read memory that nothing was written to,
  and so may give anything for the weights (PyTorch 2.15; float32 is right).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

Pair = tuple[int, int]


class Float32Gradients(TorchFunctionMode):
    """While active, such bfloat16 convolutions on the CPU take their gradients in float32.

    Results are those of PyTorch's own convolution; gradients are more exact.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call `func`, or for such a convolution the replacement."""
        if func is torch.conv2d and not kwargs and len(args) == 7:
            x, weight, bias, stride, padding, dilation, groups = args
            if (
                x.device.type == "cpu"
                and torch.is_autocast_enabled("cpu")
                and torch.get_autocast_dtype("cpu") is torch.bfloat16
                and not isinstance(padding, str)
                and (
                    (
                        1 < groups == x.shape[1] == weight.shape[0]
                        and (tuple(weight.shape[2:]), _pair(stride)) != ((3, 3), (1, 1))
                    )
                    or any(
                        more > side for more, side in zip(_pair(padding), x.shape[2:], strict=True)
                    )
                )
            ):
                return _Convolution.apply(
                    x.bfloat16(),
                    weight.bfloat16(),
                    None if bias is None else bias.bfloat16(),
                    _pair(stride),
                    _pair(padding),
                    _pair(dilation),
                    groups,
                )
        return func(*args, **(kwargs or {}))


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        stride: Pair,
        padding: Pair,
        dilation: Pair,
        groups: int,
    ) -> torch.Tensor:
        ctx.save_for_backward(x, weight)
        ctx.settings = (stride, padding, dilation, groups)
        return torch.conv2d(x, weight, bias, stride, padding, dilation, groups)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        stride, padding, dilation, groups = ctx.settings
        found = torch.ops.aten.convolution_backward(
            gradient.float(),
            x.float(),
            weight.float(),
            (groups,),
            stride,
            padding,
            dilation,
            False,
            (0, 0),
            groups,
            ctx.needs_input_grad[:3],
        )
        return *(None if part is None else part.to(x.dtype) for part in found), *(None,) * 4


def _pair(value: int | Iterable[int]) -> Pair:
    first, second = (value, value) if isinstance(value, int) else value
    return first, second
