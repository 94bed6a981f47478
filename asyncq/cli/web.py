"""`asyncq web`: the web UI."""

from __future__ import annotations

from importlib import import_module
from ipaddress import ip_network
from typing import Any, Final

import click

from asyncq.cli.connecting import connection_options, is_read_only, run

PORT: Final = 8080


def _read_proxies(_ctx: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    found: list[str] = []
    for address in given:
        try:
            network = ip_network(address, strict=False)
        except ValueError:
            raise click.BadParameter(
                f"{address!r} is no address or network, such as 10.0.0.7 or 10.0.0.0/24"
            ) from None
        found.append(str(network) if "/" in address else address)
    return tuple(found)


@click.command()
@connection_options
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="0 takes a free one."
)
@click.option(
    "--token",
    envvar="ASYNCQ_TOKEN",
    show_envvar=True,
    metavar="TOKEN",
    help="What to log in with: one for all, or NAME:ROLE:TOKEN,... Better in the environment: others on this "
    "machine can read command lines.",
)
@click.option(
    "--read-only",
    is_flag=True,
    envvar="ASYNCQ_READ_ONLY",
    show_envvar=True,
    help="Nobody may change anything.",
)
@click.option(
    "--hide",
    "hidden",
    metavar="NAME",
    multiple=True,
    help="Show no field of a payload, result or header with this name; may be given again.",
)
@click.option(
    "--hide-payloads", is_flag=True, help="Show no payloads, headers, results and error texts at all."
)
@click.option("--root-path", default="", metavar="/PATH", help="Where a proxy shows it, when not at the top.")
@click.option(
    "--proxy",
    "proxies",
    multiple=True,
    metavar="ADDRESS",
    callback=_read_proxies,
    help="Address or network of a proxy in front that is believed who asks, and by http or https "
    "(X-Forwarded-For, X-Forwarded-Proto); may be given again. Needs a token.",
)
@click.option("--environment", default="", metavar="NAME", help="Shown on every page, such as production.")
@click.option("--title", default="asyncq", show_default=True, help="Shown on every page.")
@click.option(
    "--allowed-host",
    "allowed_hosts",
    multiple=True,
    metavar="NAME",
    help="A name that it is called by; may be given again.  [default: this machine's, or any with a token]",
)
@click.pass_context
def web(ctx: click.Context, /, **options: Any) -> None:
    """Serve the web UI.

    \b
      asyncq web
      ASYNCQ_TOKEN=... asyncq web --host 0.0.0.0 --environment production

    It listens on this machine only, and without a token it refuses to listen anywhere else. A token is not
    encrypted on its way: put a proxy with TLS in front.

    Exit code: 0 it was told to leave, 1 it cannot listen there, 2 wrong usage.
    """  # noqa: D301 - the \b is click's: do not wrap this
    options["read_only"] = options["read_only"] or is_read_only(ctx)
    ctx.exit(run(_serve(**options)))


async def _serve(**options: Any) -> int:
    from asyncq.cli.serving import bound, serve_until_told, url_of  # noqa: PLC0415 - `--help` does without

    try:
        room: Any = import_module("asyncq.web")
    except ModuleNotFoundError as error:
        raise click.ClickException(str(error)) from error
    redaction: Any = import_module("asyncq.redaction")
    redact = redaction.hide_fields(*options["hidden"]) if options["hidden"] else None
    if options["hide_payloads"]:
        redact = redaction.hide_everything
    token, root_path = options["token"], options["root_path"].rstrip("/")
    if options["proxies"] and not token:
        raise click.UsageError("--proxy needs a token: without a login only this machine is served")
    auth = room.Tokens.parse(token) if token else room.NoAuth()
    room.check_bind(options["host"], auth)
    app = room.app(
        options["url"],
        auth=auth,
        read_only=options["read_only"],
        title=options["title"],
        environment=options["environment"],
        allowed_hosts=options["allowed_hosts"] or None,
        base_path=root_path or None,
        prefix=options["prefix"],
        wire=options["wire"],
        redact=redact,
    )
    listener = bound(options["host"], options["port"])
    where = url_of(listener, root_path)
    await serve_until_told(
        app,
        listener,
        lambda: click.echo(f"Web UI at {where}  (Ctrl-C leaves)"),
        proxies=options["proxies"],
    )
    return 0
