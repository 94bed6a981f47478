"""From `module:attribute` to the app that it names, and what to say when that does not work."""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil
import sys
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final, cast

import click

from asyncq.cli.connecting import FINDINGS, USAGE

DEFAULT_ATTRIBUTE: Final = "app"
_EXPECTED: Final = "an App, a Scheduler, or a list of these"


class LoadingError(click.ClickException):
    """The program cannot be had: in words, with the traceback where it is the program's own fault."""

    def __init__(self, text: str, *, code: int = USAGE) -> None:
        super().__init__(text)
        vars(self)["exit_code"] = code  # of the class there, for type checkers


@dataclass(frozen=True, slots=True)
class Reference:
    """`module:attribute`."""

    module: str
    attribute: str

    @classmethod
    def read(cls, text: str) -> Reference:
        """Read one.

        Raises:
            LoadingError: It is none; says which one was meant, where that can be seen.
        """
        module, colon, attribute = text.partition(":")
        if module.endswith(".py") or "/" in module:
            meant = module.removeprefix("./").removesuffix(".py").strip("/").replace("/", ".")
            tail = f":{attribute or DEFAULT_ATTRIBUTE}"
            raise LoadingError(f"{text!r} is a file, and a module is wanted: try {meant + tail!r}")
        if colon and not attribute:
            raise LoadingError(f"{text!r} names nothing behind the colon: module:attribute is wanted")
        names = [*module.split("."), *(attribute or DEFAULT_ATTRIBUTE).split(".")]
        if not all(name.isidentifier() for name in names):
            raise LoadingError(f"{text!r} cannot be read: module:attribute is wanted, as in 'shop.tasks:app'")
        return cls(module, attribute or DEFAULT_ATTRIBUTE)

    def __str__(self) -> str:
        return f"{self.module}:{self.attribute}"


def load(texts: Sequence[str], *, folder: str, factory: bool) -> Any:
    """Import what is named and make one `App` of it.

    Args:
        texts: `module:attribute`, once or more often.
        folder: Where modules are looked for first.
        factory: The attributes are functions that return what is to run.

    Raises:
        LoadingError: It cannot be imported, is not there, or is nothing that runs.
    """
    from asyncq.app import App  # noqa: PLC0415 - `--help` does without
    from asyncq.errors import ConfigError  # noqa: PLC0415

    references = [Reference.read(text) for text in texts]
    where = str(Path(folder).resolve())
    if where not in sys.path:
        sys.path.insert(0, where)
    parts: list[Any] = []
    for reference in references:
        found = _found(reference, _imported(reference, where))
        if factory:
            found = _made(reference, found)
        parts += _parts(reference, found)
    try:
        return parts[0] if len(parts) == 1 and isinstance(parts[0], App) else App.together(parts)
    except ConfigError as error:
        raise LoadingError(f"{' and '.join(texts)}: {error}") from error


def modules_of(texts: Sequence[str]) -> list[ModuleType]:
    """The modules that were imported for these references."""
    return [sys.modules[name] for name in dict.fromkeys(Reference.read(text).module for text in texts)]


def _imported(reference: Reference, folder: str) -> ModuleType:
    try:
        return importlib.import_module(reference.module)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{reference.module}.".startswith(f"{error.name}."):
            raise LoadingError(_no_module(error.name, folder)) from None
        raise _own_fault(f"{reference.module} cannot be imported", error) from error
    except Exception as error:
        raise _own_fault(f"{reference.module} cannot be imported", error) from error
    except SystemExit as error:
        # A script without `if __name__ == "__main__"` that ran, and ended.
        text = f"{reference.module} ended the program while it was imported; put what it runs under"
        raise LoadingError(f'{text} `if __name__ == "__main__":`', code=FINDINGS) from error


def _no_module(missing: str, folder: str) -> str:
    package = missing.rpartition(".")[0]
    places = list(sys.modules[package].__path__) if package in sys.modules else [folder]
    known = [name for _, name, _ in pkgutil.iter_modules(places)]
    near = difflib.get_close_matches(missing.rpartition(".")[2], known, 1)
    where = f"in the package {package}" if package else f"in {folder} or on Python's path"
    prefix = f"{package}." if package else ""
    hint = f"; did you mean {prefix + near[0]!r}?" if near else "; --app-dir says where else to look"
    return f"There is no module {missing!r} {where}{hint}"


def _own_fault(what: str, error: BaseException) -> LoadingError:
    """The traceback of a user's code, without what we and the import system have in it."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename != __file__ and "importlib" not in frame.filename
    ]
    lines = ["Traceback (most recent call last):\n", *traceback.format_list(frames)]
    lines += traceback.TracebackException.from_exception(error, compact=True).format_exception_only()
    click.echo("".join(lines).rstrip(), err=True)
    return LoadingError(f"{what}: {type(error).__name__}, see above", code=FINDINGS)


def _found(reference: Reference, module: ModuleType) -> Any:
    found: Any = module
    for name in reference.attribute.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise LoadingError(_no_attribute(reference, module, name)) from None
    return found


def _no_attribute(reference: Reference, module: ModuleType, name: str) -> str:
    there = vars(module)
    own = [
        known
        for known, value in there.items()
        if getattr(value, "__module__", reference.module) == reference.module
    ]
    fit = [known for known, value in there.items() if _runs(value) and not known.startswith("_")]
    near = difflib.get_close_matches(name, fit, 1) or difflib.get_close_matches(name, own, 1)
    if near:
        hint = f"did you mean {reference.module}:{near[0]}?"
    elif fit:
        hint = f"it has {', '.join(f'{reference.module}:{known}' for known in fit)}"
    else:
        hint = f"and nothing else in it is {_EXPECTED}"
    return f"The module {reference.module} has no {name!r}; {hint}"


def _made(reference: Reference, factory: Any) -> Any:
    if not callable(factory) or inspect.iscoroutinefunction(factory):
        kind = "an async function" if callable(factory) else _kind(factory)
        raise LoadingError(
            f"{reference} is {kind}; --factory wants a plain function that returns {_EXPECTED}"
        )
    try:
        return factory()
    except Exception as error:
        raise _own_fault(f"{reference}() failed", error) from error


def _runs(value: object) -> bool:
    from asyncq.app import App  # noqa: PLC0415 - as above
    from asyncq.scheduler import Scheduler  # noqa: PLC0415

    return isinstance(value, App | Scheduler)


def _parts(reference: Reference, found: Any) -> Iterable[Any]:
    several = _listed(found) or [found]
    if all(_runs(one) for one in several):
        return several
    raise LoadingError(f"{reference} is {_kind(found)}, and {_EXPECTED} is wanted{_advice(reference, found)}")


def _listed(found: Any) -> Sequence[Any] | None:
    return cast("Sequence[Any]", found) if isinstance(found, list | tuple) else None


def _kind(found: Any) -> str:
    name = type(found).__name__
    if inspect.isclass(found):
        return f"the class {found.__name__}"
    several = _listed(found)
    if several is not None:
        kinds = ", ".join(dict.fromkeys(type(one).__name__ for one in several))
        return f"a {name} of {kinds}" if kinds else f"an empty {name}"
    return f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}"


def _advice(reference: Reference, found: object) -> str:
    from asyncq.app import ServiceGroup  # noqa: PLC0415 - as above
    from asyncq.mux import Mux  # noqa: PLC0415
    from asyncq.server import Server  # noqa: PLC0415

    if isinstance(found, Server):
        return f": App({reference.attribute}, mux) says which handlers it runs"
    if isinstance(found, Mux):
        return f": App(Server(url), {reference.attribute}) says which server runs it"
    if isinstance(found, ServiceGroup):
        return f": a group is run by a program of its own, with {reference.attribute}.run()"
    if inspect.isfunction(found):
        return "; if it returns one, add --factory"
    return ""
