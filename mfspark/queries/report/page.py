"""The page: content and charts put into one HTML file that needs nothing else."""

import base64
import hashlib
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from mfspark.errors import printable
from mfspark.queries.report import charts
from mfspark.queries.report.content import Report
from mfspark.system.words import count


def render(report: Report) -> str:
    """Return the page as HTML. Whatever texts of the data say is text, never markup.

    The one script that a browser may run is the search for a user, known by its hash.
    """
    environment = Environment(
        loader=PackageLoader("mfspark.queries.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    script = _own("search.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("page.html").render(
        report=report,
        charts=charts,
        counted=count,
        json=_json,
        style=_own("page.css"),
        script=script,
        script_hash=Markup(f"sha256-{digest}"),
    )


def _own(name: str) -> Markup:
    """Return a file of our own beside the templates, which is markup as it is."""
    file = resources.files("mfspark.queries.report") / "templates" / name
    return Markup(file.read_text(encoding="utf-8"))


def _json(value: object) -> Markup:
    """Return a value as JSON that no tag ends, and no browser takes for one."""
    return htmlsafe_json_dumps(_printable(value), ensure_ascii=False, separators=(",", ":"))


def _printable(value: object) -> object:
    """Return JSON types in which all texts are printable."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {printable(str(key)): _printable(own) for key, own in value.items()}
    if isinstance(value, list | tuple):
        return [_printable(one) for one in value]
    return value


def _finalize(value: object) -> object:
    """Leave out characters that steer a terminal or hide in a text; markup is our own."""
    return printable(value) if type(value) is str else value
