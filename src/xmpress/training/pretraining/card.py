"""The card of a pretrained encoder."""

from __future__ import annotations

from collections.abc import Mapping

from transformers import PreTrainedModel

from xmpress.modeling.model import count_parameters
from xmpress.modeling.tokenizer import TokenCount
from xmpress.training.checkpoint import Progress
from xmpress.training.pretraining.config import PretrainConfig
from xmpress.training.pretraining.corpus import Corpus

OBJECTIVES = {
    "mlm": "masked-language modelling (Devlin et al., 2019)",
    "rtd": "replaced-token detection (ELECTRA; Clark et al., 2020)",
}


def encoder_card(
    name: str,
    encoder: PreTrainedModel,
    config: PretrainConfig,
    corpus: Corpus,
    counts: Mapping[str, TokenCount],
    progress: Progress,
) -> str:
    """What the encoder is, what it read and how its tokenizer cuts, in Markdown."""
    texts = corpus.by_language()
    languages = sorted(lang for lang in texts if lang != "und")
    origin = f"`{config.init}`" if config.init else "random weights"
    pairs = (
        f", and {corpus.pairs:,} pairs of translations from `{config.parallel}`, "
        f"{config.parallel_share:.0%} of the tokens shown"
        if corpus.pairs
        else ""
    )
    losses = ", ".join(f"{key} {value:.3f}" for key, value in progress.losses.items())
    lines = [
        "---",
        "library_name: transformers",
        "pipeline_tag: feature-extraction",
        *(["language:", *(f"- {lang}" for lang in languages)] if languages else []),
        "---",
        f"# {name}",
        "",
        f"A pretrained {encoder.config.model_type} encoder without heads, "
        f"{count_parameters(encoder):,} parameters, from {origin}. Teach it tasks:",
        "",
        "```console",
        f"$ xmpress train --data reviews.csv --encoder {name} -o model",
        "```",
        "",
        "## Training",
        "",
        f"{OBJECTIVES[config.objective]}, {progress.step:,} steps of "
        f"{config.fit.batch_tokens * config.fit.accumulate:,} tokens per process, "
        f"{progress.seconds / 60:.1f} minutes. Loss at the end, smoothed over some fifty steps: "
        f"{losses}.",
        "",
        "## Corpus",
        "",
        f"{sum(texts.values()):,} texts from {', '.join(f'`{s}`' for s in config.corpus)}{pairs}. "
        f"Fingerprint `{corpus.fingerprint[:16]}`.",
        "",
        "Tokens per text are counted on a sample; unseen: bytes that stand in for characters the "
        "vocabulary lacks.",
        "",
        "| language | texts | tokens per text | characters per token | unseen |",
        "|---|---|---|---|---|",
        *(
            f"| {lang} | {texts[lang]:,} | {count.per_text:.1f} | "
            f"{count.characters_per_token:.2f} | {count.unseen / max(1, count.tokens):.2%} |"
            for lang, count in counts.items()
        ),
        "",
    ]
    return "\n".join(lines)
