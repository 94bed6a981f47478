"""`asyncq web` and `asyncq exporter`: where they listen, whom they let in, and how they leave."""

from __future__ import annotations

import inspect
import re
import signal
import socket
import urllib.error
import urllib.request
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from asyncq import Task
from asyncq.cli import main
from asyncq.metrics import Exporter
from asyncq.sync import Client
from asyncq.web.throttle import MOST_FAILURES
from tests.support.commands import Command
from tests.support.waiting import wait_until_sync

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(120)]

TOKEN = "a-token-that-is-long-enough"


def address(command: Command) -> str:
    """Where it says that it is."""
    command.wait_for("Web UI at ")
    (found,) = re.findall(r"Web UI at (\S+)", command.output)
    return str(found)


def get(url: str, **headers: str) -> tuple[int, str]:
    """Status and text of a page."""
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - ours
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - ours
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_it_serves_this_machine_and_leaves_when_told(tmp_path: Path, redis_url: str) -> None:
    """Also while a page listens for news that never end."""
    with Command(tmp_path, "web", "--port", "0", "--environment", "staging", ASYNCQ_URL=redis_url) as command:
        url = address(command)
        assert url.startswith("http://127.0.0.1:")
        status, text = get(url + "queues")
        assert status == 200
        assert "staging" in text
        port = int(url.rstrip("/").rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as open_page:
            open_page.sendall(b"GET /queues HTTP/1.1\r\nHost: localhost\r\n")  # and nothing more
            command.send(signal.SIGINT)
            assert command.wait() == 0
        assert "Traceback" not in command.output


def test_a_token_lets_in_who_has_it(tmp_path: Path, redis_url: str) -> None:
    """With one it may listen elsewhere, too."""
    options = ("--url", redis_url, "--port", "0", "--host", "0.0.0.0", "--read-only")  # noqa: S104 - it has a token
    with Command(tmp_path, "web", *options, ASYNCQ_TOKEN=TOKEN) as command:
        url = address(command)
        asked, let_in = get(url + "queues")[1], get(url + "queues", Authorization=f"Bearer {TOKEN}")[1]
        assert 'type="password"' in asked
        assert 'type="password"' not in let_in
        assert command.leave() == 0
        assert TOKEN not in command.output


def test_a_proxy_is_believed_who_asks(tmp_path: Path, redis_url: str) -> None:
    """Only where that was said; else whoever asks could say it of himself."""
    wrong = {"Authorization": "Bearer wrong"}
    usual = ("--url", redis_url, "--port", "0")
    for options, status in (((), 429), (("--proxy", "127.0.0.0/8"), 401)):
        with Command(tmp_path, "web", *usual, *options, ASYNCQ_TOKEN=TOKEN) as command:
            url = address(command) + "api/v1/queues"
            for _ in range(MOST_FAILURES):
                assert get(url, **wrong, **{"X-Forwarded-For": "192.0.2.1"})[0] == 401
            assert get(url, **wrong, **{"X-Forwarded-For": "192.0.2.2"})[0] == status
            assert command.leave() == 0


def test_what_is_to_be_hidden_is_not_shown(tmp_path: Path, redis_url: str) -> None:
    """Fields by their names, or all of it."""
    with Client(redis_url) as client:
        client.enqueue(Task("x", {"card": "4111-1111", "user": "ann-7"}), task_id="t1")
    for options, shown in ((("--hide", "card", "--hide", "pin"), True), (("--hide-payloads",), False)):
        with Command(tmp_path, "web", "--port", "0", *options, ASYNCQ_URL=redis_url) as command:
            status, text = get(address(command) + "tasks/default/t1")
            assert status == 200
            assert "4111-1111" not in text
            assert ("ann-7" in text) is shown
            assert command.leave() == 0


def test_the_exporter_serves_metrics_of_the_whole(tmp_path: Path, redis_url: str) -> None:
    """One for all servers, as long as nobody tells it to leave."""
    with Command(tmp_path, "exporter", "--listen", "127.0.0.1:0", ASYNCQ_URL=redis_url) as command:
        command.wait_for("Metrics at ")
        (url,) = re.findall(r"Metrics at (\S+)", command.output)
        status, text = get(url)
        assert status == 200
        assert "\nasyncq_up 1.0\n" in text
        assert command.leave() == 0


def test_a_server_shows_its_metrics_beside_its_probes(tmp_path: Path, redis_url: str) -> None:
    """`--probes` is all that it takes."""
    program = "from asyncq import App, Mux, Server\napp = App(Server('redis://127.0.0.1:1/0'), Mux())\n"
    (tmp_path / "shop.py").write_text(program)
    with Command(tmp_path, "run", "shop", "--probes", "127.0.0.1:0", "--url", redis_url) as command:
        command.wait_for("probes at ")
        (url,) = re.findall(r"probes at (\S+)", command.output)
        assert get(f"{url}/readyz")[0] == 200
        assert "# TYPE asyncq_" in get(f"{url}/metrics")[1]
        assert command.leave() == 0


@pytest.mark.parametrize("how", ["option", "environment"])
def test_read_only_before_the_command_holds_for_the_web_ui(how: str, tmp_path: Path, redis_url: str) -> None:
    """And so does what the environment says of it."""
    before = ["--read-only"] if how == "option" else []
    environment = {"ASYNCQ_READ_ONLY": "1"} if how == "environment" else {}
    with Command(tmp_path, *before, "web", "--port", "0", ASYNCQ_URL=redis_url, **environment) as command:
        assert ">read-only<" in get(address(command) + "queues")[1]
        assert command.leave() == 0


def test_the_exporter_has_the_defaults_of_the_class() -> None:
    """Its help shows them, so they stand there once more."""
    command = main.get_command(click.Context(main), "exporter")
    assert command is not None
    options = {one.name: one.default for one in command.params}
    known = inspect.signature(Exporter).parameters
    for name in ("listen", "namespace", "interval", "timeout", "max_queues", "memory_interval"):
        assert options[name] == known[name].default, name


def test_a_port_that_is_taken(tmp_path: Path, redis_url: str) -> None:
    """The exit code is not that of a wrong command: it may be right in a minute."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        with Command(tmp_path, "web", "--url", redis_url, "--port", port) as command:
            assert command.wait() == 1
            assert f"cannot listen at 127.0.0.1:{port}: Address already in use" in command.output
        with Command(tmp_path, "exporter", "--url", redis_url, "--listen", port) as command:
            assert command.wait() == 1
            assert f"127.0.0.1:{port}" in command.output
            assert "in use" in command.output


def test_dev_has_the_web_ui(tmp_path: Path, redis_url: str) -> None:
    """In the same command, and it outlives a program that does not start."""
    (tmp_path / "shop.py").write_text("1 / 0\n")
    with Command(tmp_path, "dev", "shop", "--url", redis_url, "--port", "0") as command:
        command.wait_for("waiting for a change")
        (url,) = re.findall(r"web UI +(\S+)", command.output)
        wait_until_sync(lambda: get(url + "queues")[0] == 200, "the page")
        assert command.leave() == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--listen", "here"], 2, "'here' is no address"),
        (["--listen", "192.0.2.1:9876"], 1, "an address that can be listened on"),
        (["--url", "http://x"], 2, "scheme"),
    ],
)
def test_bad_input_of_the_exporter(arguments: list[str], code: int, words: str) -> None:
    """As everywhere: one line, and exit code 2; 1 where another machine, or another moment, could do it."""
    result = CliRunner().invoke(main, ["exporter", *arguments])
    assert result.exit_code == code, result.output
    assert words in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--host", "0.0.0.0"], "other addresses need tokens"),  # noqa: S104 - it is refused
        (["--token", "short"], "token"),
        (["--token", "a:king:sixteen-characters-long"], "viewer, operator or admin"),
        (["--port", "99999"], "99999 is not in the range"),
        (["--proxy", "10.0.0.7"], "--proxy needs a token"),
        (["--proxy", "proxy.example"], "no address or network"),
        (["--root-path", "x"], "a path that begins with a slash"),
        (["--url", "http://x"], "scheme"),
    ],
)
def test_bad_input(arguments: list[str], words: str) -> None:
    """Refused before anything listens."""
    result = CliRunner().invoke(main, ["web", *arguments], env={"ASYNCQ_TOKEN": None})
    assert result.exit_code == 2, result.output
    assert words in result.stderr
    assert "short" not in result.stderr.replace("--token", "")
