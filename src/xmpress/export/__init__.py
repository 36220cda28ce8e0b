"""Model directory to bundle: one graph, one named output per task, compared with the model."""

from xmpress.export.bundle import export_bundle
from xmpress.export.check import TOLERANCE, check_graph
from xmpress.export.graph import export_onnx

__all__ = ["TOLERANCE", "check_graph", "export_bundle", "export_onnx"]
