"""`asyncq completion`: what a shell needs to complete our commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell. Names of queues are completed, too, from Redis.

    \b
    bash   eval "$(asyncq completion bash)"        in ~/.bashrc
    zsh    eval "$(asyncq completion zsh)"         in ~/.zshrc
    fish   asyncq completion fish | source         in ~/.config/fish/config.fish
    """  # noqa: D301 - the \b is click's: do not wrap this
    complete = get_completion_class(shell)
    if complete is None:
        raise click.UsageError(f"no completion for {shell}")
    click.echo(complete(ctx.find_root().command, {}, "asyncq", "_ASYNCQ_COMPLETE").source())
