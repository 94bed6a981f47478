"""What the service stands on, as child processes on this machine: two beanstalkds, Kafka, and a Valkey.

A company has all of these already. Here they are started to try the service, with their data in a folder.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError

from asyncq.embedded import open_embedded

KAFKA: Final = Path(__file__).resolve().parents[2] / "tools" / "kafka"
"""What says which jars Kafka consists of, and how it logs."""

PATIENCE: Final = 120.0


class MissingError(Exception):
    """A program is not installed."""


@contextmanager
def infrastructure(folder: Path) -> Generator[dict[str, str]]:
    """Start everything, and give what `etc/order.yaml` takes from the environment.

    Args:
        folder: Where data and logs are kept. What is there from the last time is used again.

    Raises:
        MissingError: Something is not installed; says what.
    """
    folder.mkdir(parents=True, exist_ok=True)
    jars = kafka_jars(folder / "jars")
    with ExitStack() as stack:
        redis = stack.enter_context(open_embedded(folder / "valkey"))
        beanstalks = [stack.enter_context(beanstalkd(folder / f"beanstalkd-{one}")) for one in (1, 2)]
        broker = stack.enter_context(kafka(folder / "kafka", jars))
        yield {
            "REDIS": str(redis.socket_path),
            "BEANSTALK_1": beanstalks[0],
            "BEANSTALK_2": beanstalks[1],
            "KAFKA": broker,
            "ORDERS": str(folder / "orders.sqlite"),
        }


@contextmanager
def beanstalkd(folder: Path) -> Generator[str]:
    """A delay queue that keeps its jobs over a crash; gives its endpoint."""
    folder.mkdir(exist_ok=True)
    (port,) = free_ports(1)
    command = [program("beanstalkd", "beanstalkd"), "-l", "127.0.0.1", "-p", str(port), "-b", str(folder)]
    with running(command, folder, port):
        yield f"127.0.0.1:{port}"


_PROPERTIES: Final = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
"""


@contextmanager
def kafka(folder: Path, jars: Path) -> Generator[str]:
    """A broker of Kafka that is its own controller; gives where it is."""
    # Its controller is known by its port, which is another one each time: so it begins anew.
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    port, controller = free_ports(2)
    settings = folder / "server.properties"
    settings.write_text(_PROPERTIES.format(port=port, controller=controller, data=folder / "data"))
    quick = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx512m"]
    log = f"-Dlog4j.configuration=file:{KAFKA / 'log4j.properties'}"
    java = [program("java", "openjdk-17-jre-headless"), *quick, log, "-cp", f"{jars}/*"]
    cluster = "order-service-example0"  # 22 characters, as it wants them
    subprocess.run(
        [*java, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(settings)],
        check=True,
        capture_output=True,
    )
    with running([*java, "kafka.Kafka", str(settings)], folder, port):
        yield f"127.0.0.1:{port}"


def kafka_jars(target: Path) -> Path:
    """Kafka, fetched by Maven if it is not there: a hundred megabytes."""
    if not target.is_dir():
        print("fetching Kafka, once ...", flush=True)
        draft = target.with_suffix(".draft")
        goal = ["dependency:copy-dependencies", f"-DoutputDirectory={draft}"]
        command = [program("mvn", "maven"), "--batch-mode", "--quiet", "-f", str(KAFKA / "pom.xml"), *goal]
        subprocess.run(command, check=True)
        draft.rename(target)
    return target


async def make_topic(broker: str, name: str) -> None:
    """Make a topic of three partitions, if it is not there."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, 3, 1)])
    except TopicAlreadyExistsError:
        pass
    finally:
        await admin.close()


@contextmanager
def running(command: Sequence[str], folder: Path, port: int) -> Generator[None]:
    """Run a server that listens on a port, for the length of a block."""
    log = folder / "log"
    with log.open("wb") as out:
        # In a session of its own: a Ctrl-C is for the service, which needs its servers while it leaves.
        process = subprocess.Popen(
            command, cwd=folder, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        _wait_for(process, port, log)
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"{process.args!r} does not run:\n{log.read_text(errors='replace')[-2000:]}")


def program(name: str, package: str) -> str:
    """The path of a program."""
    # Debian keeps servers in a folder that only root has on its PATH.
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise MissingError(f"there is no `{name}` here (Debian package {package})")
    return found


def free_ports(count: int) -> list[int]:
    """Ports that nobody uses at the moment."""
    with ExitStack() as stack:
        taken = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in taken:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in taken]


def prepare(environment: dict[str, str], topic: str) -> None:
    """Make what the service expects to be there."""
    asyncio.run(make_topic(environment["KAFKA"], topic))
