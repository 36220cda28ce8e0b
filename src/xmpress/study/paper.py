"""The figures of the paper that xmpress starts from, to stand beside a study's.

Campos et al. (2022), "Compressing Cross-Lingual Multi-Task Models at Qualtrics", arXiv 2211.15927.
Only what its abstract states; its models, data and machines are not public.
"""

from __future__ import annotations

from xmpress.study.results import PaperFigure

SOURCE = "Campos et al., 2022, arXiv 2211.15927, abstract"

FIGURES = (
    PaperFigure(
        question="compression",
        value="up to 15.61x speedup at 2.60 % average task degradation",
        source=SOURCE,
        comparable=(
            "Both are average relative drops against an uncompressed multi-task model, and ratios "
            "of throughput. Data, tasks, encoders, machine and engine are others."
        ),
    ),
    PaperFigure(
        question="compression",
        value="3.29x speedup at 1.71 % average task degradation",
        source=SOURCE,
        comparable=(
            "Both are average relative drops against an uncompressed multi-task model, and ratios "
            "of throughput. Data, tasks, encoders, machine and engine are others."
        ),
    ),
    PaperFigure(
        question="cost",
        value="estimated savings of 44 % over the original full-size model",
        source=SOURCE,
        comparable=(
            "Not comparable: neither load nor latency limit nor prices are told there; here it is "
            "machine hours alone, at the load and limit that stand beside the figure."
        ),
    ),
)
