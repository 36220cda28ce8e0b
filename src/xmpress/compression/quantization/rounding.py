"""Rounding of tables of weights to few bits, in NumPy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xmpress.errors import ExportError
from xmpress.tasks import FloatArray

LARGEST_INT4 = 7
"""-8 stays unused, so that the range is symmetric."""
OFFSET_INT4 = 8
"""Added, so that nibbles are not negative."""
SHRINK_INT4 = np.linspace(1.0, 0.6, 17)
"""Ranges tried for 4 bits: to clip the largest weight rounds all others less."""
SMALLEST_SCALE_INT4 = 2.0**-14
"""Of float16, before it loses precision."""
_LARGEST_SCALE = float(np.finfo(np.float16).max)


def quantize_rows(table: FloatArray, largest: int) -> tuple[NDArray[np.int8], FloatArray]:
    """Symmetric quantization with one scale per row.

    Args:
        table: float [r, c].
        largest: the largest magnitude used, at most 127.

    Returns:
        int8 [r, c] and the scales, float32 [r, 1]: their product is the table again, to within half
        a scale.
    """
    scales = (np.abs(table).max(axis=1, keepdims=True) / largest).astype(np.float32)
    scales[scales == 0] = 1.0
    return np.rint(table / scales).astype(np.int8), scales


def quantize_int4(
    table: FloatArray, group: int | None = None
) -> tuple[NDArray[np.int8], NDArray[np.float16]]:
    """Symmetric 4-bit quantization with a scale per row or per group of columns.

    Each scale is the one, of some that clip the largest weights more or less, whose rounding has
    the least squared error.

    Args:
        table: float [r, c].
        group: at most so many columns share a scale (the largest divisor of c up to it); ``None``
            for whole rows.

    Returns:
        int8 [r, c] within -7 and 7, and the scales, float16 [r, g], for g equal parts of a row.

    Raises:
        ExportError: if weights are too large for float16 scales.
    """
    rows, columns = table.shape
    size = largest_divisor(columns, group or columns)
    parts = table.reshape(rows, columns // size, size)
    widest = np.abs(parts).max(axis=2, keepdims=True) / LARGEST_INT4
    if widest.max(initial=0.0) > _LARGEST_SCALE:
        raise ExportError(f"weights of up to {np.abs(table).max():.3g} are too large for 4 bits")
    best = np.full(widest.shape, np.inf)
    chosen = np.zeros(widest.shape, dtype=np.float16)
    for shrink in SHRINK_INT4:
        # Rounded first: what is stored is what the error is measured with.
        scales = np.maximum(widest * shrink, SMALLEST_SCALE_INT4).astype(np.float16)
        error = np.square(_round_int4(parts, scales) * scales.astype(np.float32) - parts)
        error = error.sum(axis=2, keepdims=True)
        better = error < best
        best, chosen = np.where(better, error, best), np.where(better, scales, chosen)
    return _round_int4(parts, chosen).astype(np.int8).reshape(rows, columns), chosen[:, :, 0]


def dequantize_int4(values: NDArray[np.int8], scales: NDArray[np.float16]) -> FloatArray:
    """The table again: int8 [r, c] and float16 [r, g] to float32 [r, c]."""
    parts = values.reshape(*scales.shape, -1)
    table = parts * scales[:, :, None].astype(np.float32)
    return np.asarray(table, np.float32).reshape(values.shape)


def pack_int4(values: NDArray[np.int8]) -> NDArray[np.uint8]:
    """Two columns in a byte: int8 [r, c] within -8 and 7 to uint8 [r, c/2].

    The low half of byte i is column i, the high half column i + c/2: unpacking is then a
    concatenation.

    Raises:
        ExportError: if c is odd.
    """
    if values.shape[1] % 2:
        raise ExportError(
            f"a table of {values.shape[1]} columns cannot be packed to 4 bits, two columns in a "
            "byte; choose int8 for it"
        )
    low, high = np.split((values + OFFSET_INT4).astype(np.uint8), 2, axis=1)
    return np.asarray(low | (high << 4), np.uint8)


def largest_divisor(number: int, limit: int) -> int:
    """The largest divisor of a number that is not above a limit."""
    return next(d for d in range(min(number, limit), 0, -1) if number % d == 0)


def _round_int4(parts: FloatArray, scales: NDArray[np.float16]) -> FloatArray:
    rounded = np.rint(parts / scales.astype(np.float32))
    return np.asarray(np.clip(rounded, -LARGEST_INT4, LARGEST_INT4), np.float32)
