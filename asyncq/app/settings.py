"""Settings from a file: YAML, TOML or JSON into a dataclass, with everything that is wrong said at once."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from asyncq.app.files import FORMATS, Node, UnreadableError, format_of, node_of, parse
from asyncq.app.reading import FAILED, Reader, checked_settings
from asyncq.app.troubles import SettingsError, Trouble
from asyncq.errors import ConfigError

T = TypeVar("T")

Unknown = Literal["error", "ignore"]


def load(
    path: str | os.PathLike[str],
    settings: type[T],
    *,
    unknown: Unknown = "error",
    use_env: bool = False,
    environ: Mapping[str, str] | None = None,
) -> T:
    """Read settings from a file: `.yaml`, `.yml`, `.toml` or `.json`.

        @dataclass(frozen=True)
        class Settings(ServiceConf):
            redis: RedisConf
            concurrency: int = 10

        settings = load("etc/order.yaml", Settings)

    Keys are compared without case, `_` and `-`, so `MinBytes` is the field `min_bytes`. What a base class
    has stands beside what the class has. Durations are text, "3s" or "1h30m".

    Args:
        path: The file.
        settings: A dataclass, with dataclasses, lists and mappings inside of it as deep as need be. `Setting`
            says what types and defaults do not. When it has a method `validate`, it is called at the end.
        unknown: What to do about keys that are no settings: an error, or nothing as go-zero does.
        use_env: Replace `${NAME}`, `${NAME:-default}` and `$NAME` in the text of the file by variables of
            the environment first; `$$` is a dollar. One that is not set is an error.
        environ: The environment; that of the process when not given.

    Raises:
        SettingsError: Says everything that is wrong: with the file, its settings, and the environment.
        ConfigError: The call is wrong, or the dataclass has a type that a file cannot say.
        ModuleNotFoundError: It is YAML, and the extra `app` is not installed.
    """
    checked_settings(settings)
    if unknown not in ("error", "ignore"):
        raise ConfigError("unknown", unknown, "'error' or 'ignore'")
    variables = os.environ if environ is None else environ
    file = Path(path)
    text = _text_of(file)
    if use_env:
        text = _expanded(text, str(file), variables)
    try:
        root = parse(text, format_of(file) or "")
    except UnreadableError as error:
        kind = file.suffix.lower().lstrip(".").upper().replace("YML", "YAML")
        raise _one(file, f"{kind}, and it is none: {error.why}", error.line) from None
    return _read(settings, root, str(file), unknown, variables)


def from_mapping(
    values: Mapping[str, Any],
    settings: type[T],
    *,
    unknown: Unknown = "error",
    environ: Mapping[str, str] | None = None,
) -> T:
    """Read settings from a mapping, by the rules of `load`. An empty one gives the defaults.

    Args:
        values: What a file would say.
        settings: As for `load`.
        unknown: As for `load`.
        environ: As for `load`.

    Raises:
        SettingsError: Says everything that is wrong.
        ConfigError: As for `load`.
    """
    checked_settings(settings)
    variables = os.environ if environ is None else environ
    return _read(settings, node_of(values), settings.__name__, unknown, variables)


def _read(settings: type[T], root: Node, file: str, unknown: Unknown, environ: Mapping[str, str]) -> T:
    reader = Reader(environ, ignores_unknown=unknown == "ignore")
    made: Any = reader.read(settings, root)
    if made is FAILED or reader.troubles:
        raise SettingsError(file, reader.troubles)
    found: T = made
    return found


def _text_of(file: Path) -> str:
    if format_of(file) is None:
        raise _one(file, f"a name that ends in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}")
    try:
        return file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise _one(file, f"a file that exists{_other(file)}") from None
    except UnicodeDecodeError as error:
        raise _one(file, f"text in UTF-8; byte {error.start} is none") from None
    except OSError as error:
        raise _one(file, f"a file that can be read: {error.strerror or error}") from None


def _other(file: Path) -> str:
    """The file that was meant, perhaps."""
    try:
        names = [one.name for one in file.parent.iterdir() if format_of(one) is not None]
    except OSError:
        return f"; there is no folder {str(file.parent)!r}"
    near = difflib.get_close_matches(file.name, names, n=1)
    return f"; did you mean {str(file.parent / near[0])!r}?" if near else ""


def _one(file: Path, expected: str, line: int | None = None) -> SettingsError:
    return SettingsError(str(file), [Trouble("the file", expected, line, kind="unreadable")])


_VARIABLE: Final = re.compile(
    r"\$(?:(?P<dollar>\$)|\{(?P<name>[A-Za-z_]\w*)(?::-(?P<default>[^}\n]*))?\}|(?P<bare>[A-Za-z_]\w*))",
    re.ASCII,
)


def _expanded(text: str, file: str, environ: Mapping[str, str]) -> str:
    """A text with variables replaced, but for lines that are a comment.

    Raises:
        SettingsError: Some are not set.
    """
    missing: list[Trouble] = []
    lines: list[str] = []
    for number, line in enumerate(text.splitlines(keepends=True), 1):

        def value(found: re.Match[str], number: int = number) -> str:
            if found["dollar"]:
                return "$"
            name = found["name"] or found["bare"]
            known = environ.get(name)
            if not known and found["default"] is not None:
                return found["default"]
            if known is None:
                expected = f"it to be set, or ${{{name}:-…}} with something"
                missing.append(Trouble(f"the variable {name}", expected, number, kind="missing"))
                return ""
            return known

        lines.append(line if line.lstrip().startswith("#") else _VARIABLE.sub(value, line))
    if missing:
        raise SettingsError(file, missing)
    return "".join(lines)
