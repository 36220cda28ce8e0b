"""``xmpress serve``: the HTTP server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xmpress.cli.console import say, warn
from xmpress.cli.extras import need


def serve(
    bundles: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="BUNDLE...",
            help="Bundles or names of the zoo, each as BUNDLE, NAME=BUNDLE or NAME=BUNDLE@VERSION; "
            "the first answers where none is asked for. The zoo's default if none is given.",
            envvar="XMPRESS_BUNDLES",
            show_default=False,
        ),
    ] = None,
    host: Annotated[
        str,
        typer.Option(envvar="XMPRESS_HOST", help="Address to listen on; 0.0.0.0 for every one."),
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(envvar="XMPRESS_PORT", min=0, max=65535, help="Port; 0 for a free one.")
    ] = 8000,
    workers: Annotated[
        int,
        typer.Option(envvar="XMPRESS_WORKERS", min=1, help="Engine processes per model."),
    ] = 1,
    threads: Annotated[
        int | None,
        typer.Option(
            envvar="XMPRESS_THREADS",
            min=1,
            help="CPU threads of all workers together; all by default.",
            show_default=False,
        ),
    ] = None,
    engine: Annotated[
        str, typer.Option(envvar="XMPRESS_ENGINE", help="What runs the graphs.")
    ] = "auto",
    cache: Annotated[
        int,
        typer.Option(
            envvar="XMPRESS_CACHE",
            min=0,
            help="Remember the scores of so many texts, by a hash of the text; 0 for none.",
        ),
    ] = 0,
    api_key: Annotated[
        list[str] | None,
        typer.Option(
            envvar="XMPRESS_API_KEY",
            metavar="KEY",
            help="Ask callers for this key; may be repeated. Better in the environment or a file: "
            "command lines are seen by others.",
            show_default=False,
        ),
    ] = None,
    api_key_file: Annotated[
        Path | None,
        typer.Option(
            envvar="XMPRESS_API_KEY_FILE",
            metavar="FILE",
            help="Keys, one a line; read again when the file changes.",
            show_default=False,
        ),
    ] = None,
    queue: Annotated[
        int,
        typer.Option(
            envvar="XMPRESS_QUEUE",
            min=1,
            help="Texts accepted and not yet answered, per model; beyond, 429.",
        ),
    ] = 2_000,
    timeout: Annotated[
        float,
        typer.Option(
            envvar="XMPRESS_TIMEOUT", help="Seconds from a request's arrival to its answer, or 504."
        ),
    ] = 30.0,
    max_body: Annotated[
        int, typer.Option(envvar="XMPRESS_MAX_BODY", min=1, help="Bytes of a request, or 413.")
    ] = 4 * 2**20,
    max_texts: Annotated[
        int, typer.Option(envvar="XMPRESS_MAX_TEXTS", min=1, help="Texts of a request, or 422.")
    ] = 1_000,
    max_characters: Annotated[
        int,
        typer.Option(envvar="XMPRESS_MAX_CHARACTERS", min=1, help="Characters of a text, or 422."),
    ] = 50_000,
    watch: Annotated[
        float | None,
        typer.Option(
            envvar="XMPRESS_WATCH",
            metavar="SECONDS",
            help="Look so often whether a bundle was replaced, and serve the new one; "
            "otherwise on SIGHUP.",
            show_default=False,
        ),
    ] = None,
    otel: Annotated[
        bool,
        typer.Option(
            "--otel",
            envvar="XMPRESS_OTEL",
            help="Send OpenTelemetry traces, as the OTEL_* variables say.",
        ),
    ] = False,
) -> None:
    """Serve bundles over HTTP: an API, the Open Inference Protocol, metrics, and a playground.

    Every option can also be given as an environment variable, such as XMPRESS_PORT for --port.

    Examples:
      xmpress serve runs/student/bundle --port 8000
      xmpress serve teacher=runs/teacher-bundle student=runs/student/bundle@2 --workers 4
      XMPRESS_API_KEY_FILE=keys.txt xmpress serve --host 0.0.0.0
    """
    need("serve", "xmpress serve")
    from pydantic import ValidationError

    from xmpress.errors import UsageError
    from xmpress.serving import ModelSpec, ServeSettings
    from xmpress.serving import serve as run
    from xmpress.validation import problems_of
    from xmpress.zoo import DEFAULT

    try:
        settings = ServeSettings(
            host=host,
            port=port,
            workers=workers,
            threads=threads,
            engine=engine,
            cache=cache,
            api_keys=tuple(api_key or ()),
            api_key_file=api_key_file,
            queue=queue,
            timeout=timeout,
            max_body=max_body,
            max_texts=max_texts,
            max_characters=max_characters,
            watch=watch,
            otel=otel,
        )
    except ValidationError as error:
        problems = "; ".join(map(str, problems_of(error, ServeSettings)))
        raise UsageError(f"the options cannot be right: {problems}") from error
    specs = [ModelSpec.parse(bundle) for bundle in bundles or [DEFAULT]]
    if host not in {"127.0.0.1", "localhost", "::1"} and not (api_key or api_key_file):
        warn(f"whoever reaches {host} may use the server: there is no key (--api-key-file)")
    run(specs, settings, on_listen=lambda url: say(f"serving on {url} (playground; /docs)"))
