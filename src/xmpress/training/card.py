"""The model card that lies in every model directory."""

from __future__ import annotations

from collections import Counter
from typing import Any

from xmpress.data import Dataset
from xmpress.evaluation import Scorecard
from xmpress.evaluation.render import to_markdown
from xmpress.modeling.model import MultiTaskModel, count_parameters


def model_card(
    name: str,
    model: MultiTaskModel,
    settings: dict[str, Any],
    scorecard: Scorecard,
    dataset: Dataset,
) -> str:
    """What the model is, what it was trained on and how well it does, in Markdown."""
    config = model.config
    languages = config.languages or []
    sources = Counter(dataset.where(split="train").sources)
    lines = [
        "---",
        "library_name: xmpress",
        "pipeline_tag: text-classification",
        *(["language:", *(f"- {lang}" for lang in languages)] if languages else []),
        "---",
        f"# {name}",
        "",
        f"A multi-task text classifier: {config.encoder_config.model_type} encoder, "
        f"{count_parameters(model):,} parameters, {config.pooling} pooling, at most "
        f"{config.max_length} tokens, one head per task.",
        "",
        "| task | kind | labels |",
        "|---|---|---|",
        *(f"| {t.name} | {t.kind} | {', '.join(t.labels)} |" for t in config.task_set),
        "",
        "```python",
        "import xmpress",
        "from transformers import AutoModel",
        f'model = AutoModel.from_pretrained("{name}")',
        "```",
        "",
        "## Data",
        "",
        f"`{settings['data']}`, fingerprint `{dataset.fingerprint[:16]}`. Rows of the train split "
        "by source: " + ", ".join(f"{s} {n:,}" for s, n in sources.most_common()) + ".",
        "",
        "## Quality on the validation rows",
        "",
        "These rows chose the best step and tuned temperatures and thresholds; "
        "judge the model on a test split.",
        "",
        to_markdown(scorecard),
        "",
    ]
    return "\n".join(lines)
