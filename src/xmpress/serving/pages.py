"""The pages: the playground, the documentation of the addresses, and what they are made of."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

from starlette.responses import Response

_FILES = {
    "playground.html": "text/html",
    "docs.html": "text/html",
    "style.css": "text/css",
    "playground.js": "text/javascript",
    "table.js": "text/javascript",
    "docs.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
_HEADERS = {
    # Nothing from elsewhere, nothing inline, and nobody may frame it.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True)
class Page:
    """A file of the package, in memory: no request ever names a file on disk."""

    content: bytes
    media_type: str

    def response(self) -> Response:
        """The answer that shows it."""
        return Response(self.content, media_type=self.media_type, headers=_HEADERS)


def read_pages() -> dict[str, Page]:
    """All pages, by the name of their file."""
    folder = resources.files("xmpress.serving") / "static"
    return {name: Page((folder / name).read_bytes(), kind) for name, kind in _FILES.items()}
