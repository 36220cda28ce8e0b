"""Model directory to bundle: one graph, one named output per task, compared with the model."""

from xmpress.export.adding import add_openvino
from xmpress.export.bundle import TARGETS, export_bundle
from xmpress.export.check import TOLERANCE, check_graph
from xmpress.export.graph import export_onnx

__all__ = ["TARGETS", "TOLERANCE", "add_openvino", "check_graph", "export_bundle", "export_onnx"]
