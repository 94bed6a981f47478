"""Writes the part of docs/reference/cli.md that lists every command with its arguments and options.

Run it after a change of a command; a test compares the page with what it would write.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from asyncq.cli import main

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "cli.md"

MARK = "<!-- What follows is written by tools/cli.py. -->"
"""What stands above it is written by hand."""

SHARED = ("url", "wire", "prefix", "patience", "read_only", "no_color", "as_json", "form")


def _commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=path)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None and not below.hidden:
                yield from _commands(below, f"{path} {name}")


def _escaped(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _options(command: click.Command, path: str) -> list[tuple[str, str, str]]:
    """Name, how it is written, and what it means."""
    context = click.Context(command, info_name=path)
    found: list[tuple[str, str, str]] = []
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if isinstance(parameter, click.Option) and record is not None and "--help" not in record[0]:
            found.append((parameter.name or "", record[0], record[1]))
    return found


def _help(command: click.Command) -> str:
    """The help as paragraphs; what is not wrapped there is code here."""
    parts: list[str] = []
    for part in (command.help or "").split("\n\n"):
        lines = part.strip().splitlines()
        if lines and lines[0].strip() == "\b":
            parts.append("\n".join(["```text", *(line.strip() for line in lines[1:]), "```"]))
        else:
            parts.append(" ".join(part.split()))
    return "\n\n".join(parts)


def _table(rows: list[tuple[str, str, str]]) -> Iterator[str]:
    yield "| option | |\n|---|---|"
    yield from (f"| `{_escaped(how)}` | {_escaped(what)} |" for _, how, what in rows)


def _section(path: str, command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name=path)
    level = "##" if path.count(" ") < 2 else "###"
    yield f"\n{level} `{path}`\n\n{_help(command)}"
    if isinstance(command, click.Group):
        return
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"\n    {path} {usage}"
    options = _options(command, path)
    is_sharing = {name for name, _, _ in options} >= {"url", "form", "patience"}
    own = [row for row in options if not (is_sharing and row[0] in SHARED)]
    if own:
        yield ""
        yield from _table(own)
    if is_sharing:
        yield "\nAnd [what all of them take](#options-of-all-commands)."


def page() -> str:
    """The page as it should be."""
    every = [(path, command) for path, command in _commands(main, "asyncq") if command is not main]
    sharing = next(command for path, command in every if path == "asyncq queue ls")
    by_hand, _, _ = PAGE.read_text(encoding="utf-8").partition(MARK)
    lines = [by_hand + MARK, "\n## Options of all commands\n"]
    lines += [
        "`--url`, `--wire`, `--prefix`, `--read-only` and `--no-color` may stand before the command, too.\n"
    ]
    lines += _table([row for row in _options(sharing, "asyncq queue ls") if row[0] in SHARED])
    for path, command in every:
        lines += _section(path, command)
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
