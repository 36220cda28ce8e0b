"""The pass ``export``: the bundle of a model, in fp32."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from xmpress.compression.passes import Context, Kind, Pass, PassParams
from xmpress.export import export_bundle
from xmpress.runtime.bundle import Bundle


class ExportParams(PassParams):
    """Parameters of ``export``: none."""


class Export(Pass[ExportParams]):
    """Model directory in, fp32 bundle out; what a chain ends with that made no bundle itself."""

    Params: ClassVar[type[PassParams]] = ExportParams
    gives: ClassVar[Kind] = "bundle"

    def run(self, context: Context, target: Path) -> dict[str, Any]:
        """Export, and compare the graph with the model."""
        export_bundle(context.artefact.path, target, name=context.name, overwrite=True)
        return {"checked": Bundle.open(target).manifest.checked_on["largest_difference"]}
