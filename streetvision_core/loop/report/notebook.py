"""The page of one executed notebook.

nbconvert takes seconds to start and does not sanitise; this draws cells and outputs itself, with everything escaped,
HTML outputs cut down to harmless tags, pictures embedded and scripts left out.
"""

from __future__ import annotations

import base64
import datetime as dt
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup

from streetvision_core.errors import StreetVisionError
from streetvision_core.loop.report.pages import render_page
from streetvision_core.loop.result import MIME

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_SCRIPT_OR_STYLE = re.compile(r"<(script|style)\b.*?(</\1\s*>|\Z)", re.DOTALL | re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/\s]+={0,2}\s*")
_PICTURES: Final = ("image/png", "image/jpeg", "image/webp", "image/gif")
_TAGS: Final = frozenset(
    re.findall(
        r"\w+",
        "table thead tbody tfoot tr th td caption colgroup col div span p br hr b strong i em u s code pre kbd samp"
        " small sub sup h1 h2 h3 h4 h5 h6 ul ol li dl dt dd figure figcaption img blockquote details summary",
    )
)
_ATTRIBUTES: Final = {"*": ["title"], "img": ["src", "alt", "width", "height"], "td": ["colspan", "rowspan"]}
_MOST_TEXT = 60_000
_MOST_HTML = 400_000


def notebook_page(notebook: Mapping[str, Any], title: str, day: dt.date, error: StreetVisionError | None = None) -> str:
    """Draws an executed notebook as one self-contained page.

    Args:
        notebook: the executed notebook (nbformat 4).
        title: the step's title.
        day: the day of the run.
        error: what the step failed with, shown on top.
    """
    cells = [_cell(cell) for cell in notebook["cells"] if "papermill-error-cell-tag" not in _tags(cell)]
    return render_page(
        "notebook.html", title=f"{title}, {day.isoformat()}", heading=title, day=day, cells=cells, error=error
    )


def _tags(cell: Mapping[str, Any]) -> list[str]:
    return list(cell["metadata"].get("tags", ()))


def _cell(cell: Mapping[str, Any]) -> dict[str, Any]:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        return {"kind": "markdown", "html": _markdown(source)}
    if cell["cell_type"] != "code":
        return {"kind": "raw", "text": source}
    return {
        "kind": "code",
        "number": cell.get("execution_count"),
        "parameters": "injected-parameters" in _tags(cell),
        "seconds": cell["metadata"].get("papermill", {}).get("duration"),
        "source": _highlight(source),
        "outputs": [_output(output) for output in cell.get("outputs", [])],
    }


def _output(output: Mapping[str, Any]) -> dict[str, Any]:
    kind = output["output_type"]
    if kind == "stream":
        return {"kind": "text", "name": output["name"], "text": _plain_text(output["text"])}
    if kind == "error":
        trace = _plain_text("\n".join(output["traceback"])) or f"{output['ename']}: {output['evalue']}"
        return {"kind": "error", "text": trace}
    return _display(output.get("data", {}))


def _display(data: Mapping[str, Any]) -> dict[str, Any]:
    if MIME in data:
        return {"kind": "result", "data": data[MIME]}
    for mime in _PICTURES:
        if mime in data and _BASE64.fullmatch("".join(data[mime])):
            return {"kind": "picture", "uri": f"data:{mime};base64,{''.join(''.join(data[mime]).split())}"}
    if "image/svg+xml" in data:  # inside <img> an SVG runs no script and loads nothing
        code = base64.b64encode("".join(data["image/svg+xml"]).encode()).decode()
        return {"kind": "picture", "uri": f"data:image/svg+xml;base64,{code}"}
    text = "".join(data.get("text/html", ""))
    if text and len(text) <= _MOST_HTML and (clean := _harmless(text)).strip():
        return {"kind": "html", "html": clean}
    if "text/markdown" in data:
        return {"kind": "html", "html": _markdown("".join(data["text/markdown"]))}
    return {"kind": "text", "name": "stdout", "text": _plain_text(data.get("text/plain", "(an output without text)"))}


def _plain_text(text: str | list[str]) -> str:
    joined = _ANSI.sub("", "".join(text))
    # A progress bar redraws its line; only the last drawing is of interest.
    joined = "\n".join(part.rstrip("\r").rsplit("\r", 1)[-1] for part in joined.split("\n"))
    if len(joined) <= _MOST_TEXT:
        return joined
    left_out = len(joined) - _MOST_TEXT
    return f"{joined[: _MOST_TEXT // 2]}\n… {left_out} characters left out …\n{joined[-_MOST_TEXT // 2 :]}"


def _harmless(text: str) -> Markup:
    import bleach

    without = _SCRIPT_OR_STYLE.sub("", text)
    clean = bleach.clean(without, tags=_TAGS, attributes=_ATTRIBUTES, protocols=["data"], strip=True)
    return Markup(clean)


def _highlight(source: str) -> Markup:
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    return Markup(highlight(source, PythonLexer(), HtmlFormatter(nowrap=True)))


def _markdown(source: str) -> Markup:
    return Markup(_renderer().render(source))


@lru_cache(maxsize=1)
def _renderer() -> MarkdownIt:
    from markdown_it import MarkdownIt

    renderer = MarkdownIt("commonmark", {"html": False}).enable("table")
    renderer.add_render_rule("image", _picture)
    return renderer


def _picture(renderer: Any, tokens: Any, index: int, options: Any, environment: Any) -> str:
    if str(tokens[index].attrGet("src") or "").startswith("data:image/"):
        return str(renderer.image(tokens, index, options, environment))
    return str(Markup.escape(f"[picture: {tokens[index].content}]"))  # the page loads nothing from elsewhere
