"""``xmpress pretrain``: raw text in, an encoder directory out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from xmpress.cli.console import emit_json, out, say
from xmpress.cli.extras import need
from xmpress.cli.options import Json, OutDirectory, Overwrite, Sets
from xmpress.errors import UsageError


def pretrain(
    out_dir: OutDirectory,
    corpus: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SOURCE",
            help="Text: files, a folder, a data config (.yaml), plain text (.txt), 'sample' or "
            "hf:owner/name; may be repeated.",
            show_default=False,
        ),
    ] = None,
    parallel: Annotated[
        str | None,
        typer.Option(
            help="Translations: a file with columns lang_a, text_a, lang_b, text_b.",
            show_default=False,
        ),
    ] = None,
    encoder_config: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="The encoder's configuration (YAML or JSON): random weights.",
            show_default=False,
        ),
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(
            help="A pretrained encoder to start from instead: a folder, a hub or zoo name.",
            show_default=False,
        ),
    ] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(
            metavar="DIR", help="Folder with tokenizer.json; learned if absent.", show_default=False
        ),
    ] = None,
    vocab_size: Annotated[
        int | None,
        typer.Option(help="Size of a tokenizer that is learned (32,000).", show_default=False),
    ] = None,
    objective: Annotated[
        str | None,
        typer.Option(help="mlm (hidden tokens) or rtd (replaced tokens).", show_default=False),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            help="A pretraining config (YAML); options override it.",
            show_default=False,
        ),
    ] = None,
    sets: Sets = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from where an interrupted training stopped.")
    ] = False,
    overwrite: Overwrite = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress bar.")] = False,
    json: Json = False,
) -> None:
    """Pretrain an encoder on raw text in many languages.

    The result is a Hugging Face directory for xmpress train --encoder. It starts from random
    weights (--encoder-config) or from a pretrained encoder (--init), whose layers are kept even
    under another tokenizer.

    Examples:
      xmpress pretrain --corpus feedback/ --encoder-config encoder.yaml -o runs/encoder
      xmpress pretrain --config pretrain.yaml --set fit.minutes=60 -o runs/encoder
      xmpress pretrain --corpus feedback/ --init english/ --tokenizer mine/ -o runs/encoder
    """
    if config is None and (not corpus or (encoder_config is None and init is None)):
        raise UsageError(
            "give a pretraining config (--config), or --corpus and --encoder-config or --init"
        )
    need("train", "xmpress pretrain")
    from xmpress.training.pretraining import PretrainConfig
    from xmpress.training.pretraining import pretrain as run

    settings = PretrainConfig.load(
        config,
        sets or (),
        corpus=corpus or None,
        parallel=parallel,
        encoder=encoder_config,
        init=init,
        tokenizer=tokenizer,
        vocab_size=vocab_size,
        objective=objective,
    )
    try:
        result = run(settings, out_dir, resume=resume, overwrite=overwrite, quiet=quiet)
    except KeyboardInterrupt:
        say("interrupted; go on with the same command and --resume")
        raise
    if json:
        emit_json(
            {
                "path": str(result.path),
                "steps": result.steps,
                "seconds": result.seconds,
                "losses": result.losses,
                "tokens_per_text": {lang: c.per_text for lang, c in result.tokens.items()},
            }
        )
        return
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("language")
    for name in ("tokens per text", "characters per token"):
        table.add_column(name, justify="right")
    for lang, count in result.tokens.items():
        table.add_row(lang, f"{count.per_text:.1f}", f"{count.characters_per_token:.2f}")
    out.print(table)
    losses = ", ".join(f"{name} {value:.3f}" for name, value in result.losses.items())
    say(f"wrote {result.path} ({result.steps} steps, {result.seconds:.0f} s; {losses})")
    say(f"next: xmpress train --data reviews.csv --encoder {result.path} -o model")
