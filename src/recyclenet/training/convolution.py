"""Compute the gradients of some bfloat16 convolutions in float32 on the CPU.

PyTorch's bfloat16 gradients have a problem with two kinds of convolution on the CPU:

- depthwise convolutions, unless 3x3 with stride 1, are slow (`benchmarks/training_step.py`);
- convolutions whose padding exceeds the input's height or width read uninitialised memory, so
  their weight gradients can be wrong (PyTorch 2.15; the float32 gradients are correct).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

Pair = tuple[int, int]


class Float32Gradients(TorchFunctionMode):
    """While active, computes the gradients of these convolutions in float32.

    The outputs equal those of PyTorch's convolution; the gradients are more accurate.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call `func`, or the replacement if `func` is one of these convolutions."""
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
                        pad > side for pad, side in zip(_pair(padding), x.shape[2:], strict=True)
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
        gradients = torch.ops.aten.convolution_backward(
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
        return *(None if g is None else g.to(x.dtype) for g in gradients), *(None,) * 4


def _pair(value: int | Iterable[int]) -> Pair:
    first, second = (value, value) if isinstance(value, int) else value
    return first, second
