"""The header of a script is its signature: it is read here and compared with the script.

A file whose name starts with an underscore is a *piece*: one function that scripts include
by name. It has a first line like a script's, and takes no keys and arguments of its own. Where the wires
differ, a piece is in the folder of each dialect; there, and only there, it may include others.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from asyncq._broker.basis import script
from asyncq._wire.wire import DIALECTS
from tests.architecture.repository import ROOT, SCRIPTS, dialects, modules, named, scripts

_FIRST = re.compile(r"-- (?P<name>[a-z][a-z0-9_]*): (?P<purpose>\S.*)")
_ENTRY = re.compile(r"-- (?P<kind>KEYS|ARGV|REPLY)\s+(?P<rest>\S.*)")
_INCLUDE = re.compile(r"^-- INCLUDE (\w+)$", re.MULTILINE)
_LITERAL = re.compile(r"\b(KEYS|ARGV)\[\s*(\d+)\s*\]")
# An index that is computed, a count or the whole table: which ones are used cannot be read off.
_COMPUTED = re.compile(r"\b(KEYS|ARGV)(?:\[\s*[^\d\s]|\s*[,)]|\[\s*\d+\s*[^\d\s\]])|#(KEYS|ARGV)\b")
_NAMED_KEY = re.compile(r"^local\s+(\w+)\s*=\s*KEYS\[(\d+)\]\s*$", re.MULTILINE)

REPEATED = "..."
# Every script that writes is told whether the call was sent before; not each has to ask.
MARKER = "again"

# The commands of scripts that only look.
READING = {
    "EXISTS", "GET", "HEXISTS", "HGET", "HGETALL", "HMGET", "HSTRLEN", "LINDEX", "LLEN", "LPOS", "LRANGE",
    "MEMORY", "MGET", "SCARD", "SMEMBERS", "SRANDMEMBER", "SSCAN", "TIME", "TYPE", "ZCARD", "ZCOUNT",
    "ZRANGE", "ZRANGEBYSCORE", "ZRANK", "ZSCAN", "ZSCORE",
}  # fmt: skip

COMMON = {path.stem.removeprefix("_"): path for path in scripts() if path.stem.startswith("_")}
SPOKEN = dialects()
PIECES = {**COMMON, **SPOKEN["native"]}
EVERY_PIECE = [*COMMON.values(), *(path for pieces in SPOKEN.values() for path in pieces.values())]
WHOLE = [path for path in scripts() if not path.stem.startswith("_")]


def _ids(path: Path) -> str:
    return path.stem


def _only_reads(path: Path) -> bool:
    """Whether no command of a script writes; what it includes is not looked at, but for `wake`."""
    commands = set(re.findall(r"\bp?call\('([A-Z]+)'", path.read_text(encoding="utf-8")))
    return commands <= READING and "-- INCLUDE wake" not in path.read_text(encoding="utf-8")


@dataclass(kw_only=True)
class Header:
    """What a script says about itself.

    A name that ends in three dots stands for one or more, and comes last of its kind.
    """

    name: str
    purpose: str
    entries: dict[str, list[str]] = field(default_factory=lambda: {"KEYS": [], "ARGV": [], "REPLY": []})

    def fixed(self, kind: str) -> list[str]:
        """The names that stand for exactly one key or argument."""
        return [name for name in self.entries[kind] if not name.endswith(REPEATED)]

    def is_open(self, kind: str) -> bool:
        """Whether the last entry of this kind repeats."""
        return any(name.endswith(REPEATED) for name in self.entries[kind])


def read_header(text: str) -> Header:
    """Read the comment block at the top of a script.

    Raises:
        ValueError: The first line is not `-- name: purpose`.
    """
    lines = text.splitlines()
    first = _FIRST.fullmatch(lines[0]) if lines else None
    if first is None:
        message = "the first line is not `-- name: purpose`"
        raise ValueError(message)
    header = Header(name=first["name"], purpose=first["purpose"])
    for line in lines[1:]:
        if not line.startswith("--"):
            break
        entry = _ENTRY.fullmatch(line)
        if entry is None:
            continue
        if entry["kind"] == "REPLY":
            header.entries["REPLY"].append(entry["rest"])
        else:
            header.entries[entry["kind"]].append(entry["rest"].split()[0])
    return header


def body_of(text: str) -> str:
    """The script less its comments; a `--` inside a string is not used by any script."""
    return "\n".join(line.partition("--")[0].rstrip() for line in text.splitlines())


def disagreements(text: str) -> list[str]:
    """Where header and script contradict each other, for one who fixes it."""
    header, body = read_header(text), body_of(text)
    found = []
    computed = {kind for match in _COMPUTED.findall(body) for kind in match if kind}
    for kind in ("KEYS", "ARGV"):
        fixed = header.fixed(kind)
        used = {int(index) for which, index in _LITERAL.findall(body) if which == kind}
        beyond = {index for index in used if index > len(fixed)}
        if beyond and not header.is_open(kind):
            found.append(f"uses {kind}[{max(beyond)}], the header describes {len(fixed)}")
        unused = {index for index, name in enumerate(fixed, 1) if name != MARKER} - used
        if MARKER in fixed[1:]:
            found.append(f"{MARKER} comes first")
        if unused and kind not in computed:
            index = min(unused)
            found.append(f"describes {kind}[{index}] ({fixed[index - 1]}) and never uses it")
        repeating = [name for name in header.entries[kind] if name.endswith(REPEATED)]
        if repeating and header.entries[kind][-len(repeating) :] != repeating:
            found.append(f"a repeated {kind} entry must come last")
    for local, index in _NAMED_KEY.findall(body):
        keys = header.fixed("KEYS")
        if int(index) <= len(keys) and keys[int(index) - 1] != local:
            found.append(f"calls KEYS[{index}] {local}, the header calls it {keys[int(index) - 1]}")
    if not header.entries["REPLY"]:
        found.append("does not say what it replies (REPLY)")
    return found


def test_the_scripts_were_found() -> None:
    """An empty folder would make every test below pass."""
    assert WHOLE


@pytest.mark.parametrize("path", WHOLE, ids=_ids)
def test_header_agrees_with_the_script(path: Path) -> None:
    """Whoever calls a script reads its header and nothing else."""
    text = path.read_text(encoding="utf-8")
    assert read_header(text).name == path.stem
    assert disagreements(text) == []


@pytest.mark.parametrize("path", WHOLE, ids=_ids)
def test_script_is_called_by_somebody(path: Path) -> None:
    """A script that nobody names is dead, and would still be shipped."""
    name = re.compile(rf"[\"'/]{path.stem}(\.lua)?[\"']")
    assert any(name.search(module.read_text(encoding="utf-8")) for module in modules())


@pytest.mark.parametrize("path", WHOLE, ids=_ids)
def test_script_is_run_by_a_test_of_its_own(path: Path) -> None:
    """Tests of what stands above a script see one of its replies; tests/lua sees each, and the keyspace."""
    name = re.compile(rf"\.run\(\s*\"{path.stem}\"")
    tests = (ROOT / "tests" / "lua").glob("test_*.py")
    # What all scripts have in common is tested elsewhere: there each of them is named.
    own = [test for test in tests if not test.name.startswith("test_full_redis")]
    assert any(name.search(test.read_text(encoding="utf-8")) for test in own)


@pytest.mark.parametrize("path", [path for path in WHOLE if not _only_reads(path)], ids=_ids)
def test_what_a_script_does_in_a_full_redis_is_tested(path: Path) -> None:
    """Its first write decides, and is changed without a thought (docs/adr/0009-a-full-redis.md).

    `tests/lua/calls.py` has the calls that are made in other tests too, each named after its script.
    """
    tests = (ROOT / "tests" / "lua").glob("test_full_redis*.py")
    name = re.compile(rf"\.run\(\s*\"{path.stem}\"|\bcalls\.{path.stem}\b")
    assert any(name.search(test.read_text(encoding="utf-8")) for test in tests)


@pytest.mark.parametrize("path", WHOLE, ids=_ids)
def test_script_includes_what_it_uses_and_nothing_else(path: Path) -> None:
    """A piece that is missing fails in Redis only, on the branch that calls it."""
    text = path.read_text(encoding="utf-8")
    assert set(_INCLUDE.findall(text)) == _used(text)


def _used(text: str) -> set[str]:
    """The pieces that a text uses, with those that they use: a piece includes none itself."""
    body = body_of(text)
    found = {name for name in PIECES if re.search(rf"(?<!function )\b{name}\(", body)}
    return found.union(*(_used(PIECES[name].read_text(encoding="utf-8")) for name in found))


@pytest.mark.parametrize("path", EVERY_PIECE, ids=named)
def test_piece_defines_its_own_name(path: Path) -> None:
    """A piece is put in front of its script: anything but local functions would change the script."""
    name, text = path.stem.removeprefix("_"), path.read_text(encoding="utf-8")
    assert read_header(text).name == name
    tops = [line for line in body_of(text).splitlines() if re.match(r"\w", line) and line != "end"]
    assert f"local function {name}(" in tops[-1]
    assert all(top.startswith("local ") for top in tops)


@pytest.mark.parametrize("name", sorted({path.stem.removeprefix("_") for path in EVERY_PIECE}))
def test_the_linter_knows_the_piece(name: str) -> None:
    """The linter sees each file alone, so it is told which names come from elsewhere."""
    config = (ROOT / ".luacheckrc").read_text(encoding="utf-8")
    pieces = re.search(r"^local pieces = \{(.*?)^\}$", config, re.MULTILINE | re.DOTALL)
    assert pieces is not None
    assert f'"{name}"' in pieces[1]


def test_lua_lies_in_one_folder() -> None:
    """The linter, the wheel test and these tests look there and nowhere else."""
    folders = {SCRIPTS, *(SCRIPTS / name for name in DIALECTS)}
    stray = [named(path) for path in SCRIPTS.parents[1].rglob("*.lua") if path.parent not in folders]
    assert not stray


def test_every_dialect_has_what_scripts_ask_for() -> None:
    """A piece that one dialect has not got fails in its wire only, when the script is read."""
    assert tuple(SPOKEN) == tuple(sorted(DIALECTS))
    for pieces in SPOKEN.values():
        assert pieces.keys() >= SPOKEN["native"].keys()
        assert not pieces.keys() & COMMON.keys()


@pytest.mark.parametrize("path", SPOKEN["asynq"].values(), ids=_ids)
def test_a_piece_of_a_dialect_includes_what_it_uses(path: Path) -> None:
    """Others must stand in front of it."""
    text = path.read_text(encoding="utf-8")
    body = body_of(text)
    used = {name for name in SPOKEN["asynq"] if re.search(rf"(?<!function )\b{name}\b\(?", body)}
    assert set(_INCLUDE.findall(text)) == used - {path.stem.removeprefix("_")}


@pytest.mark.parametrize("path", WHOLE, ids=_ids)
def test_script_can_be_put_together_in_each_dialect(path: Path) -> None:
    """In each of them it has the same header, and no piece twice."""
    for text in script(path.stem).texts.values():
        defined = re.findall(r"^local function (\w+)\(", text.source, re.MULTILINE)
        assert path.read_text(encoding="utf-8") in text.source
        assert len([name for name in defined if name in PIECES]) == len({n for n in defined if n in PIECES})


GOOD = """\
-- move: take one task from here to there.
--
-- More about it.
--
-- KEYS  source  asyncq:{queue}:pending  list
-- KEYS  target  asyncq:{queue}:lease    zset
-- ARGV  at      Unix seconds
-- ARGV  id...   the tasks
-- REPLY ok | not_active

local source = KEYS[1]
local target = KEYS[2]
local at = tonumber(ARGV[1])
for i = 2, #ARGV do redis.call("ZADD", target, at, ARGV[i]) end
return source
"""


def test_a_header_that_agrees_passes() -> None:
    """The checker itself, on a script as it should be."""
    assert disagreements(GOOD) == []


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("local target = KEYS[2]", "local target = KEYS[3]", "uses KEYS[3]"),
        ("tonumber(ARGV[1])", "0", ""),
        ("local target = KEYS[2]\n", "local target = source\n", "describes KEYS[2] (target)"),
        ("local source = KEYS[1]", "local target = KEYS[1]", "the header calls it source"),
        ("-- REPLY ok | not_active\n", "", "REPLY"),
        (
            "-- ARGV  at      Unix seconds\n-- ARGV  id...",
            "-- ARGV  id...   x\n-- ARGV  at",
            "must come last",
        ),
    ],
)
def test_a_header_that_disagrees_is_told_how(old: str, new: str, word: str) -> None:
    """Each kind of disagreement is found; computed indexes are given the benefit of the doubt."""
    assert old in GOOD
    found = disagreements(GOOD.replace(old, new))
    assert found == [] if not word else any(word in line for line in found)


def test_a_script_without_a_header_is_refused() -> None:
    """The first line is where an editor's outline and a reader look."""
    with pytest.raises(ValueError, match="name: purpose"):
        read_header("return 1\n")
