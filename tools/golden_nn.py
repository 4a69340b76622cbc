"""Layers, optimizer steps, averages and schedules of PyTorch; test/nn.test.ts and test/optim.test.ts do the same."""

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

tensors = {}


def keep(case, role, values):
    for name, value in values.items():
        tensors[f"{case}/{role}/{name}"] = value.detach().clone().contiguous()


def save(path):
    save_file(tensors, path)
    tensors.clear()


def gradients(module):
    return {name: parameter.grad for name, parameter in module.named_parameters()}


def seeded(make):
    """A module whose every parameter is drawn, also those that PyTorch starts at zero or one."""
    torch.manual_seed(1)
    module = make()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape) * 0.5 + 0.1)
    return module


class GroupNormSilu(nn.GroupNorm):
    def forward(self, x):
        return F.silu(super().forward(x))


class ImageNet(nn.Module):
    """Convolution, group norm with SiLU, convolution down."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = GroupNormSilu(4, 8, eps=1e-6)
        self.down = nn.Conv2d(8, 6, 4, stride=2, padding=1)

    def forward(self, x):
        return self.down(self.norm(self.stem(x)))


class TokenNet(nn.Module):
    """Embedding, layer norm, two linear layers with GELU between, added to their input."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.norm = nn.LayerNorm(8)
        self.up = nn.Linear(8, 16)
        self.out = nn.Linear(16, 8, bias=False)

    def forward(self, ids):
        x = self.embed(ids)
        return x + self.out(F.gelu(self.up(self.norm(x))))


LAYERS = {
    "Linear": (lambda: nn.Linear(5, 4), (2, 3, 5)),
    "Linear without bias": (lambda: nn.Linear(5, 4, bias=False), (6, 5)),
    "Conv2d": (lambda: nn.Conv2d(3, 4, 3, padding=1), (2, 3, 6, 5)),
    "Conv2d stride 2": (lambda: nn.Conv2d(3, 4, 4, stride=2, padding=1), (2, 3, 8, 8)),
    "Conv2d 1x1 without bias": (lambda: nn.Conv2d(3, 4, 1, bias=False), (2, 3, 4, 4)),
    "LayerNorm": (lambda: nn.LayerNorm(6), (2, 3, 6)),
    "GroupNorm": (lambda: nn.GroupNorm(3, 6, eps=1e-6), (2, 6, 4, 3)),
    "GroupNorm of one group": (lambda: nn.GroupNorm(1, 5, eps=1e-6), (3, 5, 3, 3)),
    "GroupNorm with SiLU": (lambda: GroupNormSilu(2, 8, eps=1e-6), (2, 8, 5, 5)),
    "ImageNet": (ImageNet, (2, 3, 8, 8)),
}


def backward(case, module, inputs, context):
    """Runs sum(output * cos(0, 1, 2, ...)) backward for each output and keeps all that came of it."""
    keep(case, "weight", module.state_dict())
    with context:
        outputs = module(*inputs)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    keep(case, "input", {str(n): x for n, x in enumerate(inputs)})
    keep(case, "output", {str(n): output for n, output in enumerate(outputs)})
    sum((output.float() * torch.arange(output.numel()).cos().reshape(output.shape)).sum() for output in outputs).backward()
    keep(case, "after", dict(module.named_buffers()))
    keep(case, "gradient", gradients(module))
    keep(case, "slope", {str(n): x.grad for n, x in enumerate(inputs) if x.grad is not None})


def layers():
    for case, (make, shape) in LAYERS.items():
        module = seeded(make)
        backward(case, module, [torch.randn(shape, requires_grad=True)], torch.enable_grad())
    ids = torch.tensor([[1, 4, 10, 4], [0, 2, 2, 3]])
    backward("TokenNet", seeded(TokenNet), [ids], torch.enable_grad())
    bfloat16 = torch.autocast("cpu", dtype=torch.bfloat16)
    backward("ImageNet in bfloat16", seeded(ImageNet), [torch.randn(2, 3, 8, 8, requires_grad=True)], bfloat16)
    backward("TokenNet in bfloat16", seeded(TokenNet), [ids], bfloat16)


def train(case, optimize, clip, states, steps=10):
    """Steps of an optimizer on ImageNet, with the losses, norms, its state and an average of the weights."""
    module = seeded(ImageNet)
    keep(case, "start", module.state_dict())
    x, target = torch.randn(4, 3, 8, 8), torch.randn(4, 6, 4, 4)
    keep(case, "data", {"x": x, "target": target})
    optimizer = optimize(module)
    average = AveragedModel(module, multi_avg_fn=get_ema_multi_avg_fn(0.7))
    average.update_parameters(module)  # the first time only copies
    losses, norms = [], []
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 0.05 / (step + 1)
        optimizer.zero_grad()
        loss = F.mse_loss(module(x), target)
        loss.backward()
        norms.append(nn.utils.clip_grad_norm_(module.parameters(), clip))
        optimizer.step()
        average.update_parameters(module)
        losses.append(loss)
    keep(case, "end", module.state_dict())
    keep(case, "average", average.module.state_dict())
    for role, key in states.items():
        keep(case, role, {name: optimizer.state[p][key] for name, p in module.named_parameters()})
    keep(case, "curve", {"loss": torch.stack(losses), "norm": torch.stack(norms)})


MOMENTS = {"first": "exp_avg", "second": "exp_avg_sq"}


def adamw(groups, **options):
    return torch.optim.AdamW(groups, lr=0, betas=(0.8, 0.95), eps=1e-6, **options)


def decay_matrices(module):
    """Two groups: decay for what has two dimensions or more, none for the rest."""
    parameters = list(module.parameters())
    return [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": 0.1},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]


def schedule(total, warmup, peak, floor):
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=peak)
    rise = LinearLR(optimizer, start_factor=1 / warmup, total_iters=warmup - 1)
    fall = CosineAnnealingLR(optimizer, T_max=total - warmup, eta_min=floor)
    both = SequentialLR(optimizer, [rise, fall], milestones=[warmup])
    rates = []
    for _ in range(total + 1):
        rates.append(both.get_last_lr()[0])
        optimizer.step()
        both.step()
    keep("warmupCosine", "curve", {"rate": torch.tensor(rates, dtype=torch.float64)})


def write(folder):
    layers()
    train("AdamW", lambda module: adamw(decay_matrices(module)), clip=1e9, states=MOMENTS)
    train("AdamW on all, clipped", lambda module: adamw(module.parameters(), weight_decay=0.1), clip=0.5, states=MOMENTS)
    schedule(total=50, warmup=8, peak=0.01, floor=0.001)
    save(folder / "nn.safetensors")
