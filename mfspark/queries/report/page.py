"""The page: content and charts put into one HTML file that needs nothing else."""

from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from mfspark.errors import printable
from mfspark.queries.report import charts
from mfspark.queries.report.content import Report


def render(report: Report) -> str:
    """Return the page as HTML. Whatever texts of the data say is text, never markup."""
    environment = Environment(
        loader=PackageLoader("mfspark.queries.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    style = resources.files("mfspark.queries.report") / "templates" / "page.css"
    template = environment.get_template("page.html")
    return template.render(
        report=report, charts=charts, style=Markup(style.read_text(encoding="utf-8"))
    )


def _finalize(value: object) -> object:
    """Leave out characters that steer a terminal or hide in a text; markup is our own."""
    return printable(value) if type(value) is str else value
