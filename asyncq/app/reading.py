"""Turns a tree of settings into a dataclass, and gathers everything that is wrong with it."""

from __future__ import annotations

import dataclasses
import inspect
import json
import typing
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import Any, Final, cast

from asyncq._checks import near_misses
from asyncq.app.fields import (
    NOTHING_SAID,
    Field,
    Setting,
    bare,
    default_of,
    fields_of,
    is_settings,
    members_of,
    settings_in,
    split,
    variables_of,
)
from asyncq.app.files import Node, node_of
from asyncq.app.scalars import WrongError, choice, described, is_scalar, scalar, wrong_limit
from asyncq.app.troubles import HIDDEN, Trouble
from asyncq.errors import ConfigError, Problem


class _Failed:
    """What a value is that cannot be read. The trouble is with the reader."""


FAILED: Final = _Failed()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands."""

    key: str
    setting: Setting = NOTHING_SAID
    is_secret: bool = False
    variable: str = ""  #: of the environment, where it comes from there
    is_text: bool = False  #: whether everything is text there, so that numbers have to be read from it

    def inside(self, what: str) -> Place:
        """One step further in."""
        return replace(self, key=f"{self.key}{what}", setting=NOTHING_SAID)


@dataclass
class Reader:
    """Reads settings, and remembers what is wrong with them."""

    variables: Mapping[str, str]
    ignores_unknown: bool = False
    camel: bool = False  #: how keys are written in texts
    troubles: list[Trouble] = field(default_factory=list[Trouble])

    def read(self, settings: type[Any], root: Node) -> Any:
        """Read a whole tree; `FAILED` when there are troubles."""
        keys = root.mapping or {}
        self.camel = sum(key[:1].isupper() for key in keys) * 2 >= max(1, len(keys))
        return self._settings(settings, root, Place(""))

    # --- dataclasses -----------------------------------------------------------------------------

    def _settings(self, settings: type[Any], node: Node, place: Place, base: object = None) -> Any:
        mapping = node.mapping
        if mapping is None:
            return self._wrong(node, place, self._described(settings))
        prefix = f"{place.key}." if place.key else ""
        known = fields_of(settings)
        given = self._given(known, mapping, prefix)
        values: dict[str, Any] = {}
        for one in known:
            at = Place(f"{prefix}{one.key(camel=self.camel)}", one.setting, one.is_secret or place.is_secret)
            # A line tells where a section is; what the whole file lacks stands nowhere.
            line = node.line if place.key else None
            value = self._field(settings, one, given.get(one.name), at, base, line)
            values[one.name] = value
        if any(value is FAILED for value in values.values()):
            return FAILED
        return self._made(settings, values, node, prefix)

    def _given(
        self, known: Sequence[Field], mapping: Mapping[str, Node], prefix: str
    ) -> dict[str, tuple[str, Node]]:
        """What the file says of which field, under which key."""
        by_key = {one.plain_key: one for one in known}
        given: dict[str, tuple[str, Node]] = {}
        for key, node in mapping.items():
            one = by_key.get(bare(key))
            if one is None:
                if not self.ignores_unknown:
                    self.troubles.append(
                        Trouble(prefix + key, self._hint(key, known), node.line, None, "unknown")
                    )
            elif one.name in given:
                expected = f"it once; it is {given[one.name][0]!r}, too"
                self.troubles.append(Trouble(prefix + key, expected, node.line, HIDDEN))
            else:
                given[one.name] = key, node
        return given

    def _hint(self, key: str, known: Sequence[Field]) -> str:
        by_key = {one.plain_key: one.key(camel=self.camel) for one in known}
        near = near_misses(bare(key), by_key)[:1]
        if near:
            return f"; did you mean {by_key[near[0]]!r}?"
        return f"; there are {', '.join(by_key.values())}"

    def _field(
        self,
        settings: type[Any],
        one: Field,
        given: tuple[str, Node] | None,
        place: Place,
        base: object,
        line: int | None,
    ) -> Any:
        variable = one.setting.env
        if variable is not None and (text := self.variables.get(variable)):
            at = replace(place, variable=variable, is_text=True)
            return self._value(one.kind, self._from_text(one.kind, text), at)
        node = given[1] if given is not None else Node(None, line)
        if given is not None and (node.value is not None or self._takes_none(one.kind)):
            return self._value(one.kind, node, place)
        return self._unsaid(settings, one, node, place, base)

    def _unsaid(self, settings: type[Any], one: Field, node: Node, place: Place, base: object) -> Any:
        """What a field has of which neither the file nor the environment says something."""
        inner = settings_in(one.kind)
        if not one.is_required or base is not None:
            default = default_of(settings, one.name) if base is None else getattr(base, one.name)
            if inner is None or not self._is_set(inner):
                return default
            return self._settings(inner, Node({}, node.line), place, base=default)
        if inner is not None:  # says what is missing inside, or finds that everything has a default
            return self._settings(inner, Node({}, node.line), place)
        expected = self._described(one.kind, one.setting)
        self.troubles.append(Trouble(place.key, expected, node.line, kind="missing"))
        return FAILED

    def _is_set(self, settings: type[Any]) -> bool:
        """Whether the environment says something about settings of which the file says nothing."""
        return any(self.variables.get(name) for name in variables_of(settings))

    @staticmethod
    def _takes_none(kind: Any) -> bool:
        return kind is None or type(None) in (members_of(kind) or ())

    def _made(self, settings: type[Any], values: dict[str, Any], node: Node, prefix: str) -> Any:
        """The dataclass; its own checks are heard, too."""
        try:
            made = settings(**values)
            validate = getattr(made, "validate", None)
            if callable(validate) and not inspect.iscoroutinefunction(validate):
                validate()
        except ConfigError as error:
            for problem in error.problems:
                self.troubles.append(self._of_problem(settings, problem, node, prefix))
            return FAILED
        except (ValueError, TypeError) as error:
            key = prefix.rstrip(".") or settings.__name__
            self.troubles.append(Trouble(key, f"other values: {error}", node.line, HIDDEN))
            return FAILED
        return made

    def _of_problem(self, settings: type[Any], problem: Problem, node: Node, prefix: str) -> Trouble:
        one = next((one for one in fields_of(settings) if one.name == problem.option), None)
        if one is None:
            return Trouble(prefix + problem.option, problem.expected, node.line, problem.value)
        lines = {bare(key): found.line for key, found in (node.mapping or {}).items()}
        value = HIDDEN if one.is_secret else problem.value
        line = lines.get(one.plain_key, node.line)
        return Trouble(prefix + one.key(camel=self.camel), problem.expected, line, value)

    # --- values ----------------------------------------------------------------------------------

    def _value(self, kind: Any, node: Node, place: Place) -> Any:
        """A value of a type; `FAILED`, with a trouble, when it is none."""
        kind, said = split(kind)
        setting = place.setting if said is NOTHING_SAID else said
        if is_settings(kind):
            return self._settings(kind, node, place)
        several = members_of(kind)
        if several is not None:
            value = self._one_of(several, node, place)
        elif (read := _COLLECTIONS.get(typing.get_origin(kind) or kind)) is not None:
            value = read(self, kind, node, place)
        else:
            try:
                value = scalar(kind, node, is_text=place.is_text)
            except WrongError as error:
                return self._wrong(node, place, error.expected)
        if value is not FAILED and (wrong := wrong_limit(value, setting)) is not None:
            return self._wrong(node, place, wrong)
        return value

    def _wrong(self, node: Node, place: Place, expected: str) -> Any:
        value = HIDDEN if place.is_secret else node.plain()
        key = place.key or "the file"
        self.troubles.append(Trouble(key, expected, node.line, value, variable=place.variable))
        return FAILED

    def _one_of(self, kinds: Sequence[Any], node: Node, place: Place) -> Any:
        if node.value is None and type(None) in kinds:
            return None
        others = [kind for kind in kinds if kind is not type(None) and _is_readable(kind)]
        sections = [kind for kind in others if is_settings(split(kind)[0])]
        if node.mapping is not None and sections:
            return self._value(sections[0], node, place)  # so that what is wrong inside is said
        if len(others) == 1:
            return self._value(others[0], node, place)
        for kind in others:
            trial = Reader(self.variables, self.ignores_unknown, self.camel)
            value = trial._value(kind, node, place)
            if not trial.troubles:
                return value
        return self._wrong(node, place, " or ".join(self._described(kind) for kind in others))

    def _items(self, kind: Any, node: Node, place: Place) -> list[Any] | None:
        """The items of a list of one type; `None`, with troubles, when it is none."""
        (inner,) = typing.get_args(kind)[:1] or (Any,)
        items = node.items
        if items is None:
            self._wrong(node, place, self._described(kind))
            return None
        made = [self._value(inner, one, place.inside(f"[{at}]")) for at, one in enumerate(items)]
        return None if any(one is FAILED for one in made) else made

    def _list(self, kind: Any, node: Node, place: Place) -> Any:
        made = self._items(kind, node, place)
        return FAILED if made is None else made

    def _set(self, kind: Any, node: Node, place: Place) -> Any:
        made = self._items(kind, node, place)
        return (
            FAILED if made is None else frozenset(made) if typing.get_origin(kind) is not set else set(made)
        )

    def _tuple(self, kind: Any, node: Node, place: Place) -> Any:
        kinds = typing.get_args(kind)
        if len(kinds) != 2 or kinds[1] is not Ellipsis:
            items = node.items
            if items is None or len(items) != len(kinds):
                return self._wrong(node, place, self._described(kind))
            made = [
                self._value(inner, one, place.inside(f"[{at}]"))
                for at, (inner, one) in enumerate(zip(kinds, items, strict=True))
            ]
            return FAILED if any(one is FAILED for one in made) else tuple(made)
        several = self._items(kind, node, place)
        return FAILED if several is None else tuple(several)

    def _dict(self, kind: Any, node: Node, place: Place) -> Any:
        of_keys, of_values = typing.get_args(kind) or (str, Any)
        mapping = node.mapping
        if mapping is None:
            return self._wrong(node, place, self._described(kind))
        made: dict[Any, Any] = {}
        for name, one in mapping.items():
            at = place.inside(f".{name}" if place.key else name)
            # Keys are text in every format, so a number among them has to be read from it.
            key = self._value(of_keys, Node(name, one.line), replace(at, is_text=True))
            made[key] = self._value(of_values, one, at)
        return FAILED if FAILED in made or any(one is FAILED for one in made.values()) else made

    @staticmethod
    def _from_text(kind: Any, text: str) -> Node:
        """A variable of the environment as a node: lists with commas or as JSON, sections as JSON."""
        several = [one for one in members_of(kind) or (kind,) if one is not type(None)]
        bare_kind = split(several[0])[0]
        is_list = (typing.get_origin(bare_kind) or bare_kind) in _COLLECTIONS
        if not is_list and not is_settings(bare_kind):
            return Node(text)
        if text.lstrip()[:1] in ("[", "{"):
            try:
                return node_of(json.loads(text))
            except ValueError:
                return Node(text)
        return Node([Node(part.strip()) for part in text.split(",")]) if is_list else Node(text)

    def _described(self, kind: Any, setting: Setting = NOTHING_SAID) -> str:
        """What is expected, as the end of a sentence."""
        kind, said = split(kind)
        setting = setting if said is NOTHING_SAID else said
        if setting.options:
            return choice(setting.options)
        several = members_of(kind)
        if several is not None:
            known = [one for one in several if one is not type(None) and _is_readable(one)]
            # Of several sections the first one is read.
            first = [one for one in known if is_settings(one)][1:]
            return " or ".join(self._described(one) for one in known if one not in first)
        return self._described_many(kind, typing.get_origin(kind) or kind) or described(kind)

    def _described_many(self, kind: Any, origin: Any) -> str:
        """The same of sections and lists; nothing for what is neither."""
        kinds = typing.get_args(kind)
        if is_settings(kind):
            return f"a section with {', '.join(one.key(camel=self.camel) for one in fields_of(kind))}"
        if origin in _MAPPINGS:
            return "a section of names and values"
        if origin not in _COLLECTIONS:
            return ""
        if origin is tuple and kinds[1:] != (Ellipsis,):
            return f"a list of {len(kinds)} values"
        return f"a list, each of it {self._described(kinds[0])}" if kinds else "a list"


_MAPPINGS: Final = frozenset({dict, Mapping})
_COLLECTIONS: Final[Mapping[Any, Callable[[Reader, Any, Node, Place], Any]]] = {
    list: Reader._list,
    Sequence: Reader._list,
    Iterable: Reader._list,
    Collection: Reader._list,
    tuple: Reader._tuple,
    set: Reader._set,
    frozenset: Reader._set,
    AbstractSet: Reader._set,
    dict: Reader._dict,
    Mapping: Reader._dict,
}


def _is_readable(kind: Any) -> bool:
    """Whether a file can say it at all."""
    kind = split(kind)[0]
    is_collection = (typing.get_origin(kind) or kind) in _COLLECTIONS
    return is_settings(kind) or is_collection or members_of(kind) is not None or is_scalar(kind)


def checked_settings(settings: object) -> type[Any]:
    """Refuse what is no dataclass.

    Raises:
        ConfigError: It is none.
    """
    found = cast("type[Any]", settings)
    if not isinstance(settings, type) or not dataclasses.is_dataclass(found):
        raise ConfigError("settings", found, "a dataclass")
    return found
