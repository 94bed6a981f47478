"""`asyncq task`: looking at tasks, and doing something to one, to some, or to all that match."""

from __future__ import annotations

import click

from asyncq.cli.branches import Branch
from asyncq.cli.enqueue import enqueue
from asyncq.cli.task_acting import archive, cancel, delete, retry, run
from asyncq.cli.task_changing import edit, reschedule, wait
from asyncq.cli.task_looking import find, ls, show


@click.group(
    cls=Branch,
    aliases={
        "list": "ls",
        "search": "find",
        "inspect": "show",
        "get": "show",
        "remove": "delete",
        "rm": "delete",
        "runall": "run",
        "archiveall": "archive",
        "deleteall": "delete",
    },
)
def task() -> None:
    """Look at tasks; run, archive, cancel, delete and change them.

    Tasks are named by their ids, or by queue, state and filters.
    """


for _command in (ls, find, show, run, retry, archive, cancel, delete, edit, reschedule, wait, enqueue):
    task.add_command(_command)
