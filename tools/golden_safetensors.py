"""Files as the reference implementation writes them; test/safetensors-support.ts knows their content."""

import torch
from safetensors.torch import save_file

DTYPES = {
    "float32": torch.float32,
    "float64": torch.float64,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "int64": torch.int64,
    "int32": torch.int32,
    "int16": torch.int16,
    "int8": torch.int8,
    "uint8": torch.uint8,
    "bool": torch.bool,
}


def write(folder):
    # Names out of order, one that JSON escapes, and two whose order differs between UTF-8 and UTF-16.
    tensors = {name: torch.arange(6).reshape(2, 3).to(dtype) for name, dtype in reversed(DTYPES.items())}
    tensors['quote " slash \\ line \n é'] = torch.tensor([1.5, -2.25])
    tensors["\U0001f600"] = torch.tensor([1.0])
    tensors["\uff5e"] = torch.tensor([2.0])
    tensors["scalar"] = torch.tensor(0.5)
    tensors["empty"] = torch.zeros(0, 3)
    tensors["odd"] = torch.tensor([7], dtype=torch.uint8)
    save_file(tensors, folder / "reference.safetensors", metadata={"format": "pt"})
    save_file({}, folder / "reference-empty.safetensors")
