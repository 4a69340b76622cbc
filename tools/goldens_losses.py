"""Writes the references of the adversarial loss's tests: packages/iqvae/test/goldens/losses.safetensors.

Needs torch and safetensors; run as `python3 tools/goldens_losses.py`. The discriminator is put together from torch.nn, in
float64. The auto-encoder's gradient is found the plain way: the adaptive weight from two calls of autograd, then one backward
pass through the whole weighted sum.
"""
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

TARGET = Path(__file__).parents[1] / "packages" / "iqvae" / "test" / "goldens" / "losses.safetensors"
CHANNELS, LAYERS, SIDE, BATCH = 8, 2, 16, 2
WEIGHT = 0.8


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        widths = [CHANNELS * 2**i for i in range(LAYERS + 1)]
        self.stem = nn.Conv2d(3, CHANNELS, 4, 2, 1)
        self.layers = nn.ModuleList(
            nn.ModuleDict(
                {
                    "conv": nn.Conv2d(widths[i], widths[i + 1], 4, 2 if i < LAYERS - 1 else 1, 1, bias=False),
                    "norm": nn.GroupNorm(8, widths[i + 1], eps=1e-6),
                }
            )
            for i in range(LAYERS)
        )
        self.head = nn.Conv2d(widths[LAYERS], 1, 4, 1, 1)

    def forward(self, x):
        x = nn.functional.leaky_relu(self.stem(x), 0.2)
        for layer in self.layers:
            x = nn.functional.leaky_relu(layer["norm"](layer["conv"](x)), 0.2)
        return self.head(x)


def main():
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    discriminator = Discriminator()
    with torch.no_grad():  # the weights that the file holds are the weights that were used
        for parameter in discriminator.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
            parameter.copy_(parameter.float())

    real = torch.rand(BATCH, 3, SIDE, SIDE).mul(2).sub(1).float().double()
    features = torch.randn(BATCH, 4, SIDE, SIDE).float().double().requires_grad_()
    last = torch.randn(3, 4, 3, 3).mul(0.2).float().double().requires_grad_()
    fake = nn.functional.conv2d(features, last, padding=1)

    reconstruction = nn.functional.l1_loss(fake, real)
    fooled = -discriminator(fake).mean()
    of_reconstruction = torch.autograd.grad(reconstruction, last, retain_graph=True)[0]
    of_adversary = torch.autograd.grad(fooled, last, retain_graph=True)[0]
    adaptive = (of_reconstruction.norm() / (of_adversary.norm() + 1e-4)).clamp(0, 1e4).detach()
    (reconstruction + WEIGHT * adaptive * fooled).backward()

    discriminator.zero_grad()
    real_logits, fake_logits = discriminator(real), discriminator(fake.detach())
    hinge = 0.5 * (torch.relu(1 - real_logits).mean() + torch.relu(1 + fake_logits).mean())
    hinge.backward()

    tensors = {
        "real": real,
        "features": features,
        "last": last,
        "realLogits": real_logits,
        "fakeLogits": fake_logits,
        "reconstructionLoss": reconstruction,
        "adversarialLoss": fooled,
        "adaptiveWeight": adaptive,
        "discriminatorLoss": hinge,
        "gradient/features": features.grad,
        "gradient/last": last.grad,
    }
    for name, parameter in discriminator.named_parameters():
        tensors[f"weight/{name}"] = parameter
        tensors[f"discriminatorGradient/{name}"] = parameter.grad
    save_file({name: tensor.detach().float().contiguous() for name, tensor in tensors.items()}, TARGET)
    print(f"{TARGET}: {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
