"""Files of settings: YAML, TOML and JSON as one kind of tree, that knows where each value stands."""

from __future__ import annotations

import importlib
import json
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from types import ModuleType
from typing import Any, Final, cast


class UnreadableError(Exception):
    """The text is not of its format. It never leaves this package."""

    def __init__(self, why: str, line: int | None = None) -> None:
        super().__init__(why, line)
        self.why: Final = why
        self.line: Final = line


@dataclass(frozen=True, slots=True)
class Node:
    """A value of a file: a scalar, a list of nodes, or a dictionary of them."""

    value: object
    line: int | None = None  #: where it stands, or its key

    @property
    def mapping(self) -> dict[str, Node] | None:
        """Its nodes by their keys, if it has such."""
        value = self.value
        return cast("dict[str, Node]", value) if isinstance(self.value, dict) else None

    @property
    def items(self) -> list[Node] | None:
        """Its nodes, if it is a list."""
        value = self.value
        return cast("list[Node]", value) if isinstance(self.value, list) else None

    def plain(self) -> object:
        """The value without the lines."""
        if (mapping := self.mapping) is not None:
            return {key: node.plain() for key, node in mapping.items()}
        if (items := self.items) is not None:
            return [node.plain() for node in items]
        return self.value


def node_of(value: object) -> Node:
    """A plain value as a node that stands nowhere."""
    if isinstance(value, Mapping):
        known = cast("Mapping[object, object]", value)
        return Node({str(key): node_of(one) for key, one in known.items()})
    if isinstance(value, (list, tuple)):
        return Node([node_of(one) for one in cast("Iterable[object]", value)])
    return Node(value)


def parse(text: str, suffix: str) -> Node:
    """The tree of a text.

    Args:
        text: What the file says.
        suffix: Of which format it is, one of `FORMATS`.

    Raises:
        UnreadableError: It is not of this format.
        ModuleNotFoundError: It is YAML, and nothing that reads it is installed.
    """
    try:
        return _READERS[suffix](text)
    except RecursionError:
        raise UnreadableError("it is nested too deeply") from None


# --- JSON ----------------------------------------------------------------------------------------


def _json(text: str) -> Node:
    if not text.strip():
        return Node({})
    try:
        return _LinedDecoder().read(text)
    except json.JSONDecodeError as error:
        raise UnreadableError(error.msg, error.lineno) from None


class _LinedDecoder(json.JSONDecoder):
    """Makes nodes. The scanner of the library is told to read each value through us."""

    def __init__(self) -> None:
        super().__init__()
        me = cast("Any", self)
        me.parse_object, me.parse_array = self._object, self._array
        scanner: Any = importlib.import_module("json.scanner")
        self._inner: Callable[[str, int], tuple[object, int]] = scanner.py_make_scanner(self)

    def _object(self, at: tuple[str, int], strict: Any, *rest: Any) -> Any:
        decoder: Any = importlib.import_module("json.decoder")
        _scan, _hook, _pairs, memo = rest
        return decoder.JSONObject(at, strict, self._scan, None, _distinct, memo)

    def _array(self, at: tuple[str, int], _: object) -> Any:
        decoder: Any = importlib.import_module("json.decoder")
        return decoder.JSONArray(at, self._scan)

    def read(self, text: str) -> Node:
        """The tree of a whole text."""
        begin = len(text) - len(text.lstrip())
        try:
            node, end = self._scan(text, begin)
        except StopIteration as error:
            raise json.JSONDecodeError("a value is missing", text, error.value) from None
        if text[end:].strip():
            raise json.JSONDecodeError("there is more behind the value", text, end)
        return node

    def _scan(self, text: str, at: int) -> tuple[Node, int]:
        value, end = self._inner(text, at)
        return Node(value, text.count("\n", 0, at) + 1), end


def _distinct(pairs: list[tuple[str, Node]]) -> dict[str, Node]:
    found: dict[str, Node] = {}
    for key, node in pairs:
        if key in found:
            raise UnreadableError(f"{key!r} stands twice, also in line {found[key].line}", node.line)
        found[key] = node
    return found


# --- TOML ----------------------------------------------------------------------------------------


def _toml(text: str) -> Node:
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.fullmatch(r"(.*) \(at (?:line (\d+), column \d+|end of document)\)", str(error))
        if found is None:
            raise UnreadableError(str(error)) from None
        raise UnreadableError(found[1], int(found[2]) if found[2] else None) from None
    return _lined(tree, (), _toml_lines(text))


_TABLE: Final = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?")
_KEY: Final = re.compile(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")
_NAME: Final = re.compile(r"""[\w-]+|"[^"]*"|'[^']*'""")

_Path = tuple[str | int, ...]


def _toml_lines(text: str) -> dict[_Path, int]:
    """Where keys stand. The reader of the library does not say it, so this is a look at the plain cases."""
    lines: dict[_Path, int] = {}
    table: _Path = ()
    counts: dict[_Path, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if (head := _TABLE.fullmatch(line)) is not None:
            table = _inside(head[2], counts)
            if head[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
            lines.setdefault(table, number)
        elif (key := _KEY.match(line)) is not None:
            names = [name.strip("\"'") for name in _NAME.findall(key[1])]
            for depth in range(1, len(names) + 1):
                lines.setdefault((*table, *names[:depth]), number)
    return lines


def _inside(head: str, counts: Mapping[_Path, int]) -> _Path:
    """The path of a table, through the latest elements of arrays of tables."""
    path: _Path = ()
    names = [name.strip("\"'") for name in _NAME.findall(head)]
    for place, name in enumerate(names):
        path = (*path, name)
        if path in counts and place < len(names) - 1:
            path = (*path, counts[path])
    return path


def _lined(value: object, path: _Path, lines: Mapping[_Path, int]) -> Node:
    line = lines.get(path)
    if isinstance(value, dict):
        known = cast("dict[str, object]", value)
        return Node({key: _lined(one, (*path, key), lines) for key, one in known.items()}, line)
    if isinstance(value, list):
        several = cast("list[object]", value)
        return Node([_lined(one, (*path, place), lines) for place, one in enumerate(several)], line)
    return Node(value, line)


# --- YAML ----------------------------------------------------------------------------------------


def _yaml_module() -> Any:
    try:
        found: ModuleType = importlib.import_module("yaml")
    except ModuleNotFoundError as error:
        if error.name != "yaml":
            raise
        advice = 'settings in YAML need PyYAML: pip install "asyncq[app]" (JSON and TOML need nothing)'
        raise ModuleNotFoundError(advice, name="yaml") from None
    return found


def _yaml(text: str) -> Node:
    yaml = _yaml_module()
    try:
        loader = yaml.SafeLoader(text)
        try:
            root = loader.get_single_node()
            return Node({}) if root is None else _YamlBuilder(yaml, loader).node(root)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        why = " ".join(part for part in (error.context, error.problem) if part)
        raise UnreadableError(why, None if mark is None else mark.line + 1) from None
    except (yaml.YAMLError, ValueError) as error:  # letters that may not be there, a date that is none
        raise UnreadableError(" ".join(str(error).split())) from None


_PLAIN_TAGS: Final = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")


class _YamlBuilder:
    """Makes our nodes of those of YAML. An alias is made once, however often it is used."""

    def __init__(self, yaml: Any, loader: Any) -> None:
        self._yaml: Final = yaml
        self._loader: Final = loader
        self._made: Final[dict[int, Node | None]] = {}

    def node(self, found: Any, line: int | None = None) -> Node:
        """One of them.

        Args:
            found: The node of YAML.
            line: Where its key stands.
        """
        own = found.start_mark.line + 1
        if id(found) in self._made:
            made = self._made[id(found)]
            if made is None:
                raise UnreadableError("a value contains itself", own)
        else:
            self._made[id(found)] = None
            made = self._made[id(found)] = Node(self._value(found), own)
        return made if line is None else Node(made.value, line)

    def _value(self, found: Any) -> object:
        if not isinstance(found, self._yaml.ScalarNode) and found.tag not in _PLAIN_TAGS:
            raise UnreadableError(f"nothing is known of {found.tag!r}", found.start_mark.line + 1)
        if isinstance(found, self._yaml.MappingNode):
            return self._mapping(found)
        if isinstance(found, self._yaml.SequenceNode):
            return [self.node(one) for one in found.value]
        return self._loader.construct_object(found)

    def _mapping(self, found: Any) -> dict[str, Node]:
        own = {id(key) for key, _ in found.value if key.tag != "tag:yaml.org,2002:merge"}
        # What `<<` brings comes first then, so that what stands here wins.
        self._loader.flatten_mapping(found)
        made: dict[str, Node] = {}
        places: dict[str, int] = {}
        for key, value in found.value:
            line = key.start_mark.line + 1
            if not isinstance(key, self._yaml.ScalarNode):
                raise UnreadableError("a key is no text", line)
            name = str(key.value)  # as it is written: a key `on` is not `True`
            if name in places and id(key) in own:
                raise UnreadableError(f"{name!r} stands twice, also in line {places[name]}", line)
            if id(key) in own:
                places[name] = line
            made[name] = self.node(value, line)
        return made


_READERS: Final[Mapping[str, Callable[[str], Node]]] = {
    ".yaml": _yaml,
    ".yml": _yaml,
    ".toml": _toml,
    ".json": _json,
}
FORMATS: Final = tuple(_READERS)


def format_of(path: PurePath) -> str | None:
    """What `parse` calls the format of a file; `None` when it is none that can be read."""
    suffix = path.suffix.lower()
    return suffix if suffix in _READERS else None
