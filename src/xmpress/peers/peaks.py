"""Matrix products in torch, for the roofline."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch


def products(threads: int, size: int) -> Iterator[tuple[str, str, Callable[[], object]]]:
    """Precision, library, and a product of two square matrices; on the GPU too if there is one."""
    torch.set_num_threads(threads)
    fp32 = torch.rand(size, size)
    bf16 = fp32.bfloat16()
    int8 = torch.randint(-127, 127, (size, size), dtype=torch.int8)
    yield "fp32", "torch", lambda: fp32 @ fp32
    yield "bf16", "torch", lambda: bf16 @ bf16
    yield "int8", "torch", lambda: torch._int_mm(int8, int8)
    if torch.cuda.is_available():
        for dtype, precision in ((torch.float16, "fp16"), (torch.bfloat16, "bf16")):
            yield precision, "torch, cuda", _on_gpu(torch.rand(size, size).to("cuda", dtype))


def _on_gpu(matrix: torch.Tensor) -> Callable[[], object]:
    def product() -> None:
        _ = matrix @ matrix
        torch.cuda.synchronize()

    return product
