from __future__ import annotations

import pytest
import torch
from torch import nn

from recyclenet.training.sharpness import perturbed


def problem() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2)).double()
    return model, torch.randn(8, 4).double(), torch.randint(0, 2, (8,))


@pytest.mark.parametrize("adaptive", [False, True])
def test_the_gradient_is_that_of_the_worst_point(adaptive: bool) -> None:
    model, x, y = problem()
    loss = nn.functional.cross_entropy
    parameters = list(model.parameters())
    here = torch.autograd.grad(loss(model(x), y), parameters)
    scales = [p.detach().abs() if adaptive else torch.ones_like(p) for p in parameters]
    scaled = [s * g for s, g in zip(scales, here, strict=True)]
    length = torch.cat([g.flatten() for g in scaled]).norm()
    names = [name for name, _ in model.named_parameters()]
    there = {
        name: (p.detach() + 0.1 * s * g / length).requires_grad_()
        for name, p, s, g in zip(names, parameters, scales, scaled, strict=True)
    }
    wanted = torch.autograd.grad(
        loss(torch.func.functional_call(model, there, (x,)), y), list(there.values())
    )
    before = [p.detach().clone() for p in parameters]
    loss(model(x), y).backward()
    with perturbed(model, parameters, 0.1, adaptive):
        assert all(p.grad is None for p in parameters)
        loss(model(x), y).backward()
    for parameter, old, gradient in zip(parameters, before, wanted, strict=True):
        assert torch.equal(parameter, old)
        torch.testing.assert_close(parameter.grad, gradient)


def test_batch_statistics_belong_to_where_the_network_is() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    x = torch.randn(2, 3, 8, 8)
    model(x).sum().backward()
    norm = model[1]
    before = {key: value.clone() for key, value in norm.state_dict().items()}
    with perturbed(model, list(model.parameters()), 0.5, adaptive=False):
        model(x).sum().backward()
    assert all(torch.equal(value, before[key]) for key, value in norm.state_dict().items())
    assert norm.momentum == 0.1


def test_parameters_come_back_after_a_failure() -> None:
    model, x, y = problem()
    before = [p.detach().clone() for p in model.parameters()]
    nn.functional.cross_entropy(model(x), y).backward()
    with (
        pytest.raises(KeyboardInterrupt),
        perturbed(model, list(model.parameters()), 0.5, adaptive=False),
    ):
        raise KeyboardInterrupt
    assert all(torch.equal(p, old) for p, old in zip(model.parameters(), before, strict=True))
