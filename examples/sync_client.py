"""Enqueueing from code that blocks: a web application with a thread for each request, as with Flask.

It prints:

    202 Accepted, task is pending
    409 Conflict, queue 'default' has a unique task 'email:welcome' with this payload already
"""

from __future__ import annotations

import threading
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from _example import example_url

from asyncq import Task
from asyncq.errors import DuplicateTaskError
from asyncq.sync import Client


def make_application(client: Client) -> type[BaseHTTPRequestHandler]:
    """One client for the whole process; its threads share round trips."""

    class Application(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            user_id = int(self.path.rpartition("/")[2])
            try:
                info = client.enqueue(Task("email:welcome", {"user_id": user_id}), unique=600)
            except DuplicateTaskError as error:
                self.answer(409, str(error))
            else:
                self.answer(202, f"task is {info.state}")

        def answer(self, status: int, text: str) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named by the library
            """Be quiet."""

    return Application


def main(url: str) -> None:
    """Serve two requests."""
    with Client(url) as client, ThreadingHTTPServer(("127.0.0.1", 0), make_application(client)) as web:
        threading.Thread(target=web.serve_forever).start()
        for _ in range(2):
            connection = HTTPConnection("127.0.0.1", web.server_port)
            connection.request("POST", "/welcome/42")
            response = connection.getresponse()
            print(f"{response.status} {response.reason}, {response.read().decode()}")
            connection.close()
        web.shutdown()


if __name__ == "__main__":
    with example_url() as url:
        main(url)
