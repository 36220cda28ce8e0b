"""An ONNX graph as OpenVINO's, weights and quantization as they are."""

from __future__ import annotations

from pathlib import Path

from xmpress.errors import ExportError, MissingExtraError


def convert_openvino(graph: Path, target: Path) -> None:
    """Write an ONNX file as ``.xml`` and ``.bin``; int8 products in QDQ form stay int8.

    Args:
        graph: the ONNX file.
        target: the ``.xml`` file to write.

    Raises:
        MissingExtraError: if OpenVINO is not installed.
        ExportError: if it cannot convert the graph.
    """
    try:
        import openvino
    except ModuleNotFoundError as error:
        raise MissingExtraError("openvino", "exporting to OpenVINO") from error
    try:
        openvino.save_model(openvino.convert_model(graph), target, compress_to_fp16=False)
    except Exception as error:  # the library's errors share no base class
        raise ExportError(f"OpenVINO could not convert {graph}: {error}") from error
