"""The pieces of a self-contained HTML page. Every text is escaped where it enters; sound and pictures stand inside as base64."""

from __future__ import annotations

import base64
import hashlib
import html
import io
from collections.abc import Sequence
from importlib import resources

import numpy as np
import soundfile

from toolkit.audio.mel import Floats

SCRIPT = (
    "document.addEventListener('play',e=>{for(const a of document.querySelectorAll('audio'))if(a!==e.target)a.pause()},true);"
    # a player starts on Enter as on the space bar
    "document.addEventListener('keydown',e=>{const a=e.target;if(e.key==='Enter'&&a.tagName==='AUDIO')a.paused?a.play():a.pause()});"
)


def escape(text: object) -> str:
    """Text that may stand in an element or a quoted attribute."""
    return html.escape(str(text), quote=True)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "", kind: str = "") -> str:
    """A table of HTML cells; the first cell of a row is its heading. It scrolls on its own where the window is narrow."""
    label = f"<caption>{escape(caption)}</caption>" if caption else ""
    top = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = "".join(
        "<tr>" + "".join(f'<th scope="row">{c}</th>' if k == 0 else f"<td>{c}</td>" for k, c in enumerate(row)) + "</tr>" for row in rows
    )
    name = f' aria-label="{escape(caption)}"' if caption else ' aria-label="table"'
    return (
        f'<div class="scroll {kind}" role="region" tabindex="0"{name}><table>{label}<thead><tr>{top}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def player(sound: bytes, label: str) -> str:
    """A player of a FLAC file."""
    return f'<audio controls preload="metadata" aria-label="{escape(label)}" src="data:audio/flac;base64,{_base64(sound)}"></audio>'


def picture(image: bytes, alt: str, caption: str = "") -> str:
    """A PNG with what it shows in words."""
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    width, height = int.from_bytes(image[16:20], "big"), int.from_bytes(image[20:24], "big")  # of the PNG's first chunk
    size = f'width="{width}" height="{height}"'
    return f'<figure class="picture"><img {size} alt="{escape(alt)}" src="data:image/png;base64,{_base64(image)}">{below}</figure>'


def details(summary: str, body: str, shown: bool = False) -> str:
    """A part that can be unfolded."""
    return f"<details{' open' if shown else ''}><summary>{escape(summary)}</summary>{body}</details>"


def section(identifier: str, title: str, body: str) -> str:
    """A part of the page that the contents list leads to."""
    name = f"{identifier}-title"
    return f'<section id="{identifier}" aria-labelledby="{name}"><h2 id="{name}">{escape(title)}</h2>{body}</section>'


def document(title: str, body: str, more: str = "") -> str:
    """The page. Its policy lets the browser load nothing from anywhere and run nothing but the few lines above.

    Args:
        more: name of files ``<more>.css`` and ``<more>.js`` of this package, whose style and script the page has too.
    """
    style, code = _resource("report.css"), SCRIPT
    if more:
        style, code = style + _resource(f"{more}.css"), f"{SCRIPT}\n{_resource(f'{more}.js')}"
    script = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; script-src 'sha256-{script}'"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n{body}\n<script>{code}</script>\n</body>\n</html>\n"
    )


def flac(wave: Floats, sample_rate: int) -> bytes:
    """Samples ``N`` in [-1, 1] as a 16-bit FLAC file: lossless, half of a WAV, played by every current browser."""
    file = io.BytesIO()
    whole = np.clip(np.round(wave * 32768.0), -32768, 32767).astype(np.int16)
    soundfile.write(file, whole, sample_rate, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def _resource(name: str) -> str:
    return resources.files("toolkit.evaluate").joinpath(name).read_text(encoding="utf-8")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
