"""A broker of Apache Kafka that is its own controller (KRaft), as a child process."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import GroupCoordinatorNotAvailableError, GroupLoadInProgressError

from tests.support._processes import spawn
from tests.support.servers import free_port
from tests.support.waiting import wait_until, wait_until_sync

from .missing import find_program

__all__ = ["ConsumerGroup", "KafkaBroker"]

_HERE = Path(__file__).parents[3] / "tools" / "kafka"
# A few seconds on an idle core are many more beside other tests.
_START_TIMEOUT = 120.0
_STARTED = "Kafka Server started"
_PORT_ATTEMPTS = 5
_CLUSTER = "AAAAAAAAAAAAAAAAAAAAAA"  # 22 characters, as Kafka wants them

_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{plain},SASL_PLAINTEXT://127.0.0.1:{sasl},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{plain},SASL_PLAINTEXT://127.0.0.1:{sasl}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
sasl.enabled.mechanisms=PLAIN
listener.name.sasl_plaintext.plain.sasl.jaas.config=\
org.apache.kafka.common.security.plain.PlainLoginModule required user_{username}="{password}";
log.dirs={data}
num.partitions=3
auto.create.topics.enable=false
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
# A group has its members at once, and a member that died is missed soon if it wants to be.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
# A broker that was killed comes back under its own name as soon as the former one counts as gone.
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
"""


@dataclass(frozen=True)
class ConsumerGroup:
    """A group as the broker tells of it."""

    state: str
    protocol: str
    """How its partitions are assigned."""
    members: int


class KafkaBroker:
    """One broker. Restarted, it has its ports and its topics again.

    Args:
        jars: The folder with Kafka's jars.
    """

    username = "alice"
    password = "rabbit hole"

    def __init__(self, jars: Path) -> None:
        self._jars = jars
        self._process: subprocess.Popen[bytes] | None = None
        self._port = self._sasl_port = self._controller_port = 0
        self.directory = Path(tempfile.mkdtemp(prefix="aq-kafka-"))

    @property
    def bootstrap(self) -> str:
        """Where everybody may connect."""
        return f"127.0.0.1:{self._port}"

    @property
    def sasl_bootstrap(self) -> str:
        """Where `username` may, with `password`, by SASL PLAIN."""
        return f"127.0.0.1:{self._sasl_port}"

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None, "the broker does not run"
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether the process is there, paused or not."""
        return self._process is not None and self._process.poll() is None

    async def topic(self, name: str, partitions: int = 3) -> str:
        """Make a topic, and return its name."""
        async with self._admin() as admin:
            await admin.create_topics([NewTopic(name, partitions, 1)])

            async def is_known() -> bool:
                (told,) = await admin.describe_topics([name])
                leaders = [one["leader"] for one in told["partitions"] if not one["error_code"]]
                return len(leaders) == partitions and min(leaders) >= 0

            # The controller answers before the broker has heard of it.
            await wait_until(is_known, f"the topic {name}", _START_TIMEOUT)
        return name

    async def committed(self, group: str, topic: str) -> dict[int, int]:
        """Return what a group has committed, by partition."""
        async with self._admin() as admin:
            listed = await _patiently(lambda: admin.list_consumer_group_offsets(group))
        return {place.partition: told.offset for place, told in listed.items() if place.topic == topic}

    async def group(self, name: str) -> ConsumerGroup:
        """Return what the broker knows of a group."""
        async with self._admin() as admin:
            (answer,) = await _patiently(lambda: admin.describe_consumer_groups([name]))
        _, _, state, _, protocol, members, *_ = answer.groups[0]
        return ConsumerGroup(state, protocol, len(members))

    async def joined(self, group: str, members: int = 1, timeout: float = 60) -> None:
        """Wait until a group has so many members, and they have their partitions."""

        async def is_stable() -> bool:
            now = await self.group(group)
            return now.state == "Stable" and now.members == members

        await wait_until(is_stable, f"{group} to have {members} members", timeout)

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()

    def log(self) -> str:
        """Return what the broker has logged."""
        with contextlib.suppress(FileNotFoundError):
            return (self.directory / "log").read_text(errors="replace")
        return ""

    def start(self) -> None:
        """Start it, and wait until it takes requests."""
        if self._port:  # others know the port by now
            self._launch()
            return
        for attempt in range(1, _PORT_ATTEMPTS + 1):
            self._choose_ports()
            try:
                self._launch()
                return
            except RuntimeError:
                if attempt == _PORT_ATTEMPTS or "in use" not in self.log():
                    raise

    def kill(self) -> None:
        """End it as a crash does. What it had acknowledged is kept by the system."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it as its administrator does."""
        self._end(signal.SIGTERM)

    def restart(self) -> None:
        """Kill it if it runs, and start it again."""
        self.kill()
        self.start()

    def pause(self) -> None:
        """Freeze it: connections stay open, and nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen one go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End it and delete its data."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        """Start it."""
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End it and delete its data."""
        if error is not None:
            error.add_note(self.log()[-2000:])
        self.close()

    def _choose_ports(self) -> None:
        ports: set[int] = set()
        while len(ports) < 3:
            ports.add(free_port())
        self._port, self._sasl_port, self._controller_port = ports
        settings = _PROPERTIES.format(
            plain=self._port,
            sasl=self._sasl_port,
            controller=self._controller_port,
            username=self.username,
            password=self.password,
            data=self.directory / "data",
        )
        (self.directory / "server.properties").write_text(settings)

    def _launch(self) -> None:
        if not (self.directory / "data").exists():
            self._format()
        log = self.directory / "log"
        log.unlink(missing_ok=True)
        command = self._java("kafka.Kafka", "server.properties")
        self._process = process = spawn(command, cwd=self.directory, log=log)
        wait_until_sync(
            lambda: _STARTED in self.log() or process.poll() is not None, "Kafka to start", _START_TIMEOUT
        )
        if process.poll() is not None:
            message = f"Kafka did not start:\n{self.log()[-4000:]}"
            raise RuntimeError(message)

    def _format(self) -> None:
        arguments = ("format", "-t", _CLUSTER, "-c", "server.properties")
        done = subprocess.run(
            self._java("kafka.tools.StorageTool", *arguments),
            cwd=self.directory,
            capture_output=True,
            text=True,
            check=False,
            timeout=_START_TIMEOUT,
        )
        assert not done.returncode, done.stdout + done.stderr

    def _java(self, main: str, *arguments: str) -> list[str]:
        # It starts in half the time when it neither optimises much nor collects garbage with many threads.
        quick = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Xmx512m"]
        options = [*quick, f"-Dlog4j.configuration=file:{_HERE / 'log4j.properties'}"]
        java = find_program("java", "openjdk-17-jre-headless")
        return [java, *options, "-cp", f"{self._jars}/*", main, *arguments]

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        process.send_signal(signal.SIGCONT)
        process.wait(_START_TIMEOUT)


async def _patiently(ask: Callable[[], Awaitable[Any]]) -> Any:
    """Ask about groups, until the broker has made or read the topic in which it keeps them."""
    answers: list[Any] = []

    async def is_answered() -> bool:
        with contextlib.suppress(GroupCoordinatorNotAvailableError, GroupLoadInProgressError):
            answers.append(await ask())
        return bool(answers)

    await wait_until(is_answered, "the coordinator of a group", _START_TIMEOUT)
    return answers[0]
