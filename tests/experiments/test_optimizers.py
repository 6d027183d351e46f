import math

import pytest
import torch

from experiments.config import OptimConfig
from experiments.optimizers import build_optimizer, learning_rate, set_learning_rate
from geometry.errors import UsageError

UNFUSED = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}


@pytest.mark.parametrize("name", UNFUSED)
def test_the_fused_optimisers_are_torchs(name):
    def minimise(make):
        weight = torch.nn.Parameter(torch.linspace(-1, 1, 12).reshape(3, 4))
        optimizer = make([weight, torch.nn.Parameter(torch.ones(2), requires_grad=False)])
        for _ in range(20):
            optimizer.zero_grad()
            (weight.sin() ** 2).sum().backward()
            optimizer.step()
        return weight.detach()

    optim = OptimConfig(optimizer=name, lr=0.02, weight_decay=0.1)
    momentum = {"momentum": 0.9} if name == "sgd" else {}
    expected = minimise(lambda params: UNFUSED[name](params[:1], lr=0.02, weight_decay=0.1, **momentum))
    torch.testing.assert_close(minimise(lambda params: build_optimizer(optim, params)), expected)


def test_the_schedule_is_a_function_of_the_step():
    cosine = OptimConfig(schedule="cosine", lr=0.1, steps=10)
    rates = [learning_rate(cosine, step) for step in range(10)]
    assert rates[0] == 0.1
    assert rates[5] == pytest.approx(0.05)
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == pytest.approx(0.05 * (1 + math.cos(0.9 * math.pi)))
    assert learning_rate(OptimConfig(lr=0.3), 7) == 0.3
    optimizer = build_optimizer(cosine, [torch.nn.Parameter(torch.zeros(1))])
    set_learning_rate(optimizer, 0.25)
    assert [group["lr"] for group in optimizer.param_groups] == [0.25]


@pytest.mark.parametrize(
    "options", [{"optimizer": "lion"}, {"schedule": "step"}, {"sampling": "random"}, {"momentum": 1.0}, {"lr": 0.0}]
)
def test_what_is_refused(options):
    with pytest.raises(UsageError):
        OptimConfig(**options)
