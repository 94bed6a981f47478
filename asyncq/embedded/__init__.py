"""`embedded://PATH`: a server of our own, shared by the processes that name one PATH.

`launcher` is the door. `guardian` is a small program, one for each PATH in use, which
keeps the server running for as long as somebody uses it and not a moment longer.
`binary` finds what to run.

Who lives is said by file locks in PATH, because the kernel lets go of those however a
process ends. All of them are `flock` locks:

| file            | held by                        | how       | meaning                          |
|-----------------|--------------------------------|-----------|----------------------------------|
| `users.lock`    | each user                      | shared    | somebody needs the server        |
| `users.lock`    | the guardian, when it shuts down | exclusive | nobody does; newcomers wait      |
| `start.lock`    | a user that opens              | exclusive | one at a time looks and starts   |
| `guardian.lock` | the guardian                   | exclusive | a guardian is alive              |
| `server.lock`   | the server, which inherits it  | exclusive | a server may write in PATH       |
"""

from __future__ import annotations

from asyncq.embedded.binary import find_server_binary
from asyncq.embedded.launcher import EmbeddedServer, open_embedded

__all__ = ["EmbeddedServer", "find_server_binary", "open_embedded"]
