"""Matrix products in torch, for the roofline."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
"""By the name of a precision."""


def products(threads: int, size: int) -> Iterator[tuple[str, str, str, Callable[[], object]]]:
    """Precision, library, device and a product of square matrices; the GPU's if there is one."""
    torch.set_num_threads(threads)
    fp32 = torch.rand(size, size)
    bf16 = fp32.bfloat16()
    int8 = torch.randint(-127, 127, (size, size), dtype=torch.int8)
    yield "fp32", "torch", "cpu", lambda: fp32 @ fp32
    yield "bf16", "torch", "cpu", lambda: bf16 @ bf16
    yield "int8", "torch", "cpu", lambda: torch._int_mm(int8, int8)
    if torch.cuda.is_available():
        for precision, dtype in DTYPES.items():
            yield precision, "torch", "cuda", _on_gpu(torch.rand(size, size).to("cuda", dtype))


def _on_gpu(matrix: torch.Tensor) -> Callable[[], object]:
    def product() -> None:
        _ = matrix @ matrix
        torch.cuda.synchronize()

    return product
