"""Losses and schedules of PyTorch; test/loss.test.ts and test/optim.test.ts of packages/torch do the same."""

import torch
from golden_nn import keep, save
from torch import nn
from torch.optim import lr_scheduler


def loss(case, criterion, x, target, **more):
    """The loss and what it means for its input, by the gradient of sum(loss * cos(0, 1, 2, ...))."""
    value = criterion(x, target)
    (value * torch.arange(value.numel()).cos().reshape(value.shape)).sum().backward()
    keep(case, "given", {"x": x, "target": target, **more})
    keep(case, "result", {"loss": value, "slope": x.grad})


def losses():
    torch.manual_seed(2)

    def logits():
        return torch.randn(5, 4, requires_grad=True)

    classes, weight = torch.tensor([0, 3, 2, 2, 1]), torch.tensor([0.5, 1.0, 2.0, 0.25])
    for reduction in ("none", "mean", "sum"):
        loss(f"CrossEntropyLoss {reduction}", nn.CrossEntropyLoss(reduction=reduction), logits(), classes)
        loss(f"NLLLoss {reduction}", nn.NLLLoss(reduction=reduction), logits(), classes)
        loss(f"MSELoss {reduction}", nn.MSELoss(reduction=reduction), logits(), torch.randn(5, 4))
        loss(f"L1Loss {reduction}", nn.L1Loss(reduction=reduction), logits(), torch.randn(5, 4))
        loss(f"BCEWithLogitsLoss {reduction}", nn.BCEWithLogitsLoss(reduction=reduction), logits(), torch.rand(5, 4))
    weighted = nn.CrossEntropyLoss(weight=weight, ignore_index=2, label_smoothing=0.1)
    loss("CrossEntropyLoss with all", weighted, logits(), classes, weight=weight)
    images = torch.randn(2, 4, 3, 3, requires_grad=True)
    loss("CrossEntropyLoss of planes", nn.CrossEntropyLoss(), images, torch.randint(4, (2, 3, 3)))
    loss("CrossEntropyLoss of probabilities", nn.CrossEntropyLoss(), logits(), torch.randn(5, 4).softmax(1))
    loss("NLLLoss with all", nn.NLLLoss(weight=weight, ignore_index=1), logits(), classes, weight=weight)
    pos = torch.tensor([3.0, 1.0, 0.5, 2.0])
    loss(
        "BCEWithLogitsLoss with all",
        nn.BCEWithLogitsLoss(weight=weight, pos_weight=pos),
        logits(),
        torch.rand(5, 4),
        weight=weight,
        posWeight=pos,
    )
    for reduction in ("none", "mean", "sum"):
        loss(f"HuberLoss {reduction}", nn.HuberLoss(reduction=reduction), logits(), torch.randn(5, 4))
        loss(f"SmoothL1Loss {reduction}", nn.SmoothL1Loss(reduction=reduction), logits(), torch.randn(5, 4))
        loss(f"KLDivLoss {reduction}", nn.KLDivLoss(reduction=reduction), logits(), torch.randn(5, 4).softmax(1))
    loss("HuberLoss with all", nn.HuberLoss(delta=0.3), logits(), torch.randn(5, 4))
    loss("SmoothL1Loss with all", nn.SmoothL1Loss(beta=0.2), logits(), torch.randn(5, 4))
    loss("SmoothL1Loss without a round part", nn.SmoothL1Loss(beta=0), logits(), torch.randn(5, 4))
    divergence = nn.KLDivLoss(reduction="batchmean", log_target=True)
    loss("KLDivLoss with all", divergence, logits(), torch.randn(5, 4).log_softmax(1))


def schedules():
    def rates(case, make, steps=25):
        optimizer = torch.optim.SGD([{"params": [torch.zeros(1)]}, {"params": [torch.zeros(1)], "lr": 0.5}], lr=0.01)
        schedule, seen = make(optimizer), []
        for _ in range(steps):
            seen.append(schedule.get_last_lr())
            optimizer.step()
            schedule.step()
        keep(case, "curve", {"rates": torch.tensor(seen, dtype=torch.float64)})

    rates("StepLR", lambda optimizer: lr_scheduler.StepLR(optimizer, 3, gamma=0.7))
    rates("StepLR by default", lambda optimizer: lr_scheduler.StepLR(optimizer, 10))
    rates("CosineAnnealingLR", lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, 10, eta_min=0.001))
    rates("LambdaLR", lambda optimizer: lr_scheduler.LambdaLR(optimizer, lambda epoch: 1 / (2 + epoch)))


def write(folder):
    losses()
    schedules()
    save(folder / "criteria.safetensors")
