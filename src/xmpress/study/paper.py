"""What the paper that xmpress starts from found, to stand beside what a study finds.

Campos et al. (2022), "Compressing Cross-Lingual Multi-Task Models at Qualtrics", arXiv 2211.15927.
Only what its abstract states; its models, data and machines are not public.
"""

from __future__ import annotations

from xmpress.study.results import PaperFigure

SOURCE = "Campos et al., 2022, arXiv 2211.15927, abstract"

IN_PART = (
    "In part: the abstract tells neither whether the drop is relative, nor over what, nor "
    "what was timed. Here it is the relative drop of macro-F1, and a ratio of throughput, "
    "both against the uncompressed multi-task model. Data, tasks, encoders, machine and "
    "engine are others."
)

FIGURES = (
    PaperFigure(
        question="multi_task",
        value=(
            "multi-task modeling improves task performance for a subset of experience management "
            "tasks in both XLM-R and mBert"
        ),
        source=SOURCE,
        comparable=(
            "In part: the abstract tells neither which tasks, nor by how much, nor whether both "
            "ways cost the same training. Data and encoders are others."
        ),
    ),
    PaperFigure(
        question="compression",
        value="up to 15.61x speedup at 2.60 % average task degradation",
        source=SOURCE,
        comparable=IN_PART,
    ),
    PaperFigure(
        question="compression",
        value="3.29x speedup at 1.71 % average task degradation",
        source=SOURCE,
        comparable=IN_PART,
    ),
    PaperFigure(
        question="compression",
        value="MiniLM achieved the best compression/performance tradeoff",
        source=SOURCE,
        comparable=(
            "In part: among the architectures of the study, each trained for as long as the study "
            "says. Data and encoders are others."
        ),
    ),
    PaperFigure(
        question="cost",
        value="estimated savings of 44 % over the original full-size model",
        source=SOURCE,
        comparable=(
            "Not comparable: the abstract tells neither load nor latency limit nor prices. Here it "
            "is machine hours alone, of a compressed model over the uncompressed one and over the "
            "baselines, at the load and limit that stand beside the figure."
        ),
    ),
)
