"""Writes the references of the transformer's tests: packages/iqvae/test/goldens/transformer.safetensors.

Needs torch and safetensors; run as `python3 tools/goldens_transformer.py`. The layers are PyTorch's own encoder layers under a
causal mask, in float64, and the gradients are autograd's; only the names are ours.
"""
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

TARGET = Path(__file__).parents[1] / "packages" / "iqvae" / "test" / "goldens" / "transformer.safetensors"
LAYERS, WIDTH, HEADS = 3, 16, 4
CONDITION_CODES, IMAGE_CODES, CONDITION_TOKENS, IMAGE_TOKENS = 7, 11, 5, 6
BATCH = 3

NAMES = {
    "self_attn.in_proj_weight": "attention.qkv.weight",
    "self_attn.in_proj_bias": "attention.qkv.bias",
    "self_attn.out_proj.weight": "attention.project.weight",
    "self_attn.out_proj.bias": "attention.project.bias",
    "linear1.weight": "expand.weight",
    "linear1.bias": "expand.bias",
    "linear2.weight": "contract.weight",
    "linear2.bias": "contract.bias",
    "norm1.weight": "norm1.weight",
    "norm1.bias": "norm1.bias",
    "norm2.weight": "norm2.weight",
    "norm2.bias": "norm2.bias",
}


def main():
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    layers = nn.ModuleList(
        nn.TransformerEncoderLayer(WIDTH, HEADS, 4 * WIDTH, dropout=0.0, activation="gelu", batch_first=True, norm_first=True)
        for _ in range(LAYERS)
    )
    norm = nn.LayerNorm(WIDTH)
    head = nn.Linear(WIDTH, IMAGE_CODES, bias=False)
    condition_table = nn.Embedding(CONDITION_CODES, WIDTH)
    image_table = nn.Embedding(IMAGE_CODES, WIDTH)
    positions = nn.Parameter(torch.randn(CONDITION_TOKENS + IMAGE_TOKENS - 1, WIDTH))

    parameters = {
        "conditionEmbedding.weight": condition_table.weight,
        "imageEmbedding.weight": image_table.weight,
        "positions": positions,
        "norm.weight": norm.weight,
        "norm.bias": norm.bias,
        "head.weight": head.weight,
    }
    for i, layer in enumerate(layers):
        own = dict(layer.named_parameters())
        parameters |= {f"blocks.{i}.{NAMES[name]}": parameter for name, parameter in own.items()}
    with torch.no_grad():  # nothing stays at 0 or 1, where a mistake could hide
        for parameter in parameters.values():
            parameter.add_(0.2 * torch.randn_like(parameter))
            parameter.copy_(parameter.float())  # the weights that the file holds are the weights that were used

    condition = torch.randint(CONDITION_CODES, (BATCH, CONDITION_TOKENS))
    image = torch.randint(IMAGE_CODES, (BATCH, IMAGE_TOKENS))
    tokens = torch.cat([condition_table(condition), image_table(image[:, :-1])], 1)
    x = tokens + positions
    mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1]).double()
    for layer in layers:
        x = layer(x, src_mask=mask)
    logits = head(norm(x))[:, CONDITION_TOKENS - 1 :]
    loss = nn.functional.cross_entropy(logits.flatten(0, 1), image.flatten())
    loss.backward()

    tensors = {"condition": condition, "image": image, "logits": logits, "loss": loss}
    tensors |= {f"weight/{name}": parameter for name, parameter in parameters.items()}
    tensors |= {f"gradient/{name}": parameter.grad for name, parameter in parameters.items()}
    plain = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    save_file({name: t.float() if t.is_floating_point() else t for name, t in plain.items()}, TARGET)
    print(f"{TARGET}: {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
