from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import pytest
import torch
from torch import nn

from recyclenet.training.convolution import Float32Gradients, _Convolution


def gradients(
    conv: nn.Conv2d, x: torch.Tensor, upstream: torch.Tensor, mode: AbstractContextManager[object]
) -> list[torch.Tensor]:
    """Return the output, and the gradients of the input and of every parameter, float32."""
    x = x.clone().requires_grad_()
    conv.zero_grad()
    with mode:
        out = conv(x)
    out.backward(upstream.to(out.dtype))
    found = [out.detach(), x.grad, *(parameter.grad for parameter in conv.parameters())]
    return [tensor.float().clone() for tensor in found if tensor is not None]


@contextmanager
def fast() -> Iterator[None]:
    with Float32Gradients(), torch.autocast("cpu", torch.bfloat16):
        yield


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("kernel", "stride"), [(5, 1), (5, 2), (3, 2), (3, 1)])
def test_outputs_are_pytorchs_and_gradients_no_less_exact(
    kernel: int, stride: int, bias: bool
) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(8, 8, kernel, stride, kernel // 2, groups=8, bias=bias)
    x = torch.randn(4, 8, 12, 12).bfloat16().float()
    for parameter in conv.parameters():
        parameter.data = parameter.data.bfloat16().float()
    upstream = torch.randn_like(conv(x)).bfloat16().float()
    truth = gradients(conv, x, upstream, nullcontext())
    plain = gradients(conv, x, upstream, torch.autocast("cpu", torch.bfloat16))
    mine = gradients(conv, x, upstream, fast())
    torch.testing.assert_close(mine[0], plain[0], rtol=1e-2, atol=1e-2)
    for exact, usual, ours in zip(truth, plain, mine, strict=True):
        assert (ours - exact).norm() <= (usual - exact).norm() * 1.1 + 1e-6
        torch.testing.assert_close(ours, exact, rtol=0.02, atol=0.02 * exact.abs().max().item())


def test_only_the_slow_kind_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, ...]] = []
    apply = _Convolution.apply

    def spy(x: torch.Tensor, weight: torch.Tensor, *rest: object) -> torch.Tensor:
        seen.append(tuple(weight.shape))
        return apply(x, weight, *rest)

    monkeypatch.setattr(_Convolution, "apply", spy)
    x = torch.randn(2, 8, 9, 9)
    layers = [
        nn.Conv2d(8, 8, 5, padding=2, groups=8),
        nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=8),
        nn.Conv2d(8, 8, 3, padding=1, groups=8),  # has a fast kernel
        nn.Conv2d(8, 8, 5, padding=2),
        nn.Conv2d(8, 16, 5, padding=2, groups=8),
    ]
    with Float32Gradients():
        for layer in layers:
            layer(x)  # float32 has fast kernels for all
        assert seen == []
        with torch.autocast("cpu", torch.bfloat16):
            for layer in layers:
                layer(x)
    assert seen == [(8, 1, 5, 5), (8, 1, 3, 3)]


def spoil_memory() -> None:
    """Leave memory to be taken again that is full of NaN."""
    blocks = [torch.full((4**power,), torch.nan) for power in range(2, 11) for _ in range(30)]
    del blocks


def test_weights_of_a_kernel_far_wider_than_its_map_get_their_true_gradients() -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(128, 1, 7, padding=3, bias=False).to(memory_format=torch.channels_last)
    x = torch.randn(4, 128, 2, 2).bfloat16().float()
    conv.weight.data = conv.weight.data.bfloat16().float()
    upstream = torch.randn(4, 1, 2, 2).bfloat16().float()
    truth = gradients(conv, x, upstream, nullcontext())
    for _ in range(5):
        spoil_memory()
        for exact, ours in zip(truth, gradients(conv, x, upstream, fast()), strict=True):
            torch.testing.assert_close(ours, exact, rtol=0.02, atol=0.02 * exact.abs().max().item())


def test_a_frozen_layer_asks_for_no_gradient_of_its_own() -> None:
    conv = nn.Conv2d(4, 4, 5, padding=2, groups=4, bias=False).requires_grad_(False)
    x = torch.randn(1, 4, 6, 6, requires_grad=True)
    with Float32Gradients(), torch.autocast("cpu", torch.bfloat16):
        conv(x).sum().backward()
    assert x.grad is not None
    assert conv.weight.grad is None
