"""Reading the configuration: TOML files, each over those before, `--set section.key=value` on top.

Everything is checked before Spark starts. Unknown keys are refused with their present name, or the
nearest known one.
"""

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import ValidationError

from mfspark.config.config import Config
from mfspark.config.section import Section
from mfspark.config.spaces import near
from mfspark.errors import ConfigError

_GONE = {"models.als.engine": "it is gone, as als is no other than ours; leave the key out"}
"""Keys that old configurations may hold, and what to do about them."""


def load_config(
    files: str | Path | Sequence[str | Path] | None = None, overrides: tuple[str, ...] = ()
) -> Config:
    """Read TOML files (or none, for the defaults) and put `section.key=value` overrides on top.

    Of several files a later one changes the keys that it names, and no others. Raises ConfigError
    that lists every wrong key and value at once, with the nearest known key.
    """
    paths = [files] if isinstance(files, str | Path) else list(files or ())
    values: dict[str, Any] = {}
    for path in paths:
        _lay_over(values, _read_toml(Path(path)))
    for override in overrides:
        _set(values, override)
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        where = ", ".join(map(str, paths)) or "the configuration"
        problems = _problems(error)
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise ConfigError(f"{where} has {len(problems)} problem(s):\n{listed}") from None


def parse_run_date(text: str) -> date:
    """Parse YYYY-MM-DD. Raises ConfigError."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"run date '{text}' is not a date", "write it as 2026-11-22") from None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from None


def _lay_over(values: dict[str, Any], others: dict[str, Any]) -> None:
    """Take over what other values say, section by section."""
    for key, value in others.items():
        mine = values.get(key)
        if isinstance(mine, dict) and isinstance(value, dict):
            _lay_over(mine, value)
        else:
            values[key] = value


def _set(values: Any, override: str) -> None:
    """Apply one `section.key=value`; the value is TOML, or plain text where it is not."""
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {override} is not SECTION.OPTION=VALUE")
    try:
        value = tomllib.loads(f"v = {text}")["v"]
    except tomllib.TOMLDecodeError:
        value = text
    *sections, last = key.strip().split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise ConfigError(f"--set {override}: '{section}' is a value, not a section")
    values[last] = value


def _problems(error: ValidationError) -> list[str]:
    """Say what is wrong, a line a key: a value that may be of several kinds fits none of them."""
    lines: dict[str, str] = {}
    for each in error.errors(include_url=False):
        line = _explain(each)
        key, _, choice = line.partition(": Input should be ")
        if key in lines and choice:
            lines[key] += f", or {choice}"
        else:
            lines[key if choice else line] = line
    return list(lines.values())


def _explain(error: Any) -> str:
    """Say one validation error in terms of the TOML file."""
    path = [str(part) for part in error["loc"]]
    if error["type"] != "extra_forbidden":
        path = _without_kinds(path)
    name = ".".join(path)
    if error["type"] == "extra_forbidden":
        if name in _GONE:
            return f"unknown key '{name}'; {_GONE[name]}"
        section = _section_at(path[:-1])
        former, known = section.former_names, list(section.model_fields)
        if path[-1] in former:
            return f"unknown key '{name}'; it is called '{former[path[-1]]}' now"
        return f"unknown key '{name}'; {near(path[-1], known)}"
    given, message = error["input"], error["msg"].removeprefix("Value error, ")
    if not name:
        return message
    if error["type"] == "tuple_type" and isinstance(given, str | int | float):
        message = f"Input should be a list: {_as_list(given)}"
    elif error["type"] == "literal_error" and isinstance(given, str):
        message += _meant(given, re.findall("'([^']*)'", error["ctx"]["expected"]))
    return f"{name} = {json.dumps(given, default=str)}: {message}"


def _as_list(given: str | float) -> str:
    """Return the list that is probably meant by a text or a number in its place, as TOML."""
    if not isinstance(given, str):
        return json.dumps([given])
    return json.dumps([word.strip() for word in given.split(",")], ensure_ascii=False)


def _meant(given: str, known: list[str]) -> str:
    """Say which of some words was probably meant; nothing where none is like it."""
    found = near(given, known)
    return f"; {found}" if found.endswith("?") else ""


def _without_kinds(path: list[str]) -> list[str]:
    """Return keys, and places in lists, without the kind of value that was tried for the last."""
    section: type[Section] | None = Config
    keys: list[str] = []
    any_keys = False
    for part in path:
        if section is not None and part in section.model_fields:
            keys.append(part)
            kind = section.model_fields[part].annotation
            section = kind if isinstance(kind, type) and issubclass(kind, Section) else None
            any_keys = get_origin(kind) is Mapping
        elif any_keys or part.isdigit():
            keys.append(part)
    return keys


def _section_at(path: list[str]) -> type[Section]:
    """Return the section that keys of the configuration name one after the other."""
    section: type[Section] = Config
    for key in path:
        kind = section.model_fields[key].annotation
        options = [kind, *get_args(kind)]
        section = next(k for k in options if isinstance(k, type) and issubclass(k, Section))
    return section
