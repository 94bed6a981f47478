"""Groups of commands: other names that people try, and what was probably meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from asyncq.cli.later import Later

if TYPE_CHECKING:
    import difflib
else:
    difflib = Later("difflib")


class Branch(click.Group):
    """A group whose commands may have other names, such as those of asynq's command."""

    def __init__(self, *args: Any, aliases: dict[str, str] | None = None, **options: Any) -> None:
        super().__init__(*args, **options)
        self.aliases: Final = aliases or {}

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Find a command by one of its names."""
        return super().get_command(ctx, self.aliases.get(cmd_name, cmd_name))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that is meant, or say which one may have been."""
        name = args[0]
        command = self.get_command(ctx, name)
        if command is None and not ctx.resilient_parsing:
            known = sorted(self.commands)
            near = difflib.get_close_matches(name, [*known, *self.aliases], 1)
            hint = f"Did you mean {near[0]!r}?" if near else f"There are {', '.join(known)}."
            raise click.UsageError(f"No such command {name!r}. {hint}", ctx)
        return (command.name if command else None), command, args[1:]
