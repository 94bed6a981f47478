"""What every request to the web UI passes: headers, host, origin, login, size."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount

from asyncq import Client, Task
from asyncq.inspector import Rights
from asyncq.web import NoAuth, Principal, Tokens, WebApp
from asyncq.web.guard import HEADERS, LARGEST_BODY
from asyncq.web.throttle import MOST_FAILURES
from tests.support.web import Made, visitor

SECRET = "a-secret-of-sixteen"
VIEWER = "the-secret-of-a-viewer"


async def _queue(url: str, name: str = "default") -> None:
    async with Client(url) as client:
        await client.enqueue(Task("greet", {"name": "x"}), queue=name)


async def _is_paused(made: WebApp, queue: str = "default") -> bool:
    return (await made.site.inspector.queues.get(queue)).is_paused


async def test_every_answer_carries_the_headers(redis_url: str, web: Made) -> None:
    """Also the answers to what is not there, not allowed, not understood, and to bugs."""
    made = web(redis_url, auth=NoAuth())
    made.routes.insert(0, _broken())
    async with visitor(made, sees_bugs=True) as browser:
        static = made.site.statics.path("app.css")
        paths = [
            "/",
            "/queues",
            "/nowhere",
            "/broken",
            "/queues?sort=odd",
            "/settings",
            f"/static/{static}",
            "/login",
        ]
        for path in paths:
            answer = await browser.get(path)
            for name, value in HEADERS.items():
                assert answer.headers[name] == value, (path, name)
            assert "unsafe" not in answer.headers["content-security-policy"]
            kept = answer.headers["cache-control"]
            assert kept == ("public, max-age=31536000, immutable" if "static" in path else "no-store"), path
        answer = await browser.post("/queues/default/pause", headers={"Host": "evil.example"})
        assert answer.headers["x-frame-options"] == "DENY"


def _broken() -> Any:
    from starlette.routing import Route

    async def fail(_: Request) -> Any:
        message = "a secret detail"
        raise RuntimeError(message)

    return Route("/broken", fail)


async def test_a_bug_says_nothing_of_itself(redis_url: str, web: Made) -> None:
    """Its text is for the log, not for whoever finds it."""
    made = web(redis_url, auth=NoAuth())
    made.routes.insert(0, _broken())
    async with visitor(made, sees_bugs=True) as browser:
        answer = await browser.get("/broken")
    assert answer.status_code == 500
    assert "Something went wrong here" in answer.text
    assert "secret detail" not in answer.text


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "10.0.0.1", ""])
async def test_other_hosts_are_refused(redis_url: str, host: str, web: Made) -> None:
    """DNS rebinding: a page of somebody else leads its own name to this machine."""
    await _queue(redis_url)
    made = web(redis_url, auth=NoAuth())
    async with visitor(made) as browser:
        assert (await browser.get("/queues", headers={"Host": host})).status_code == 421
        assert (await browser.post("/queues/default/pause", headers={"Host": host})).status_code == 421
    assert not await _is_paused(made)


async def test_hosts_can_be_named(redis_url: str, web: Made) -> None:
    """Behind a proxy the site has the proxy's name."""
    made = web(redis_url, auth=Tokens(SECRET), allowed_hosts=["ops.example.com"])
    async with visitor(made) as browser:
        assert (await browser.get("/login", headers={"Host": "ops.example.com"})).status_code == 200
        assert (await browser.get("/login", headers={"Host": "localhost"})).status_code == 421


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 303),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site", "Origin": "http://localhost"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Sec-Fetch-Site": "", "Origin": "http://localhost"}, 403),
        ({"Origin": "http://localhost"}, 303),
        ({"Origin": "http://localhost:9"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({}, 403),
    ],
)
async def test_a_change_comes_from_a_page_of_ours(
    redis_url: str, headers: dict[str, str], expected: int, web: Made
) -> None:
    """A page of somebody else may send a form here, in the name of whoever looks at it (CSRF)."""
    await _queue(redis_url)
    made = web(redis_url, auth=NoAuth())
    async with visitor(made) as browser:
        del browser.headers["Sec-Fetch-Site"]
        answer = await browser.post("/queues/default/pause", headers=headers)
    assert answer.status_code == expected
    assert await _is_paused(made) is (expected == 303)


async def test_a_program_with_a_token_has_no_origin(redis_url: str, web: Made) -> None:
    """No browser adds the token by itself; with a cookie beside it, it may be a browser."""
    await _queue(redis_url)
    made = web(redis_url, auth=Tokens(SECRET))
    async with visitor(made) as browser:
        del browser.headers["Sec-Fetch-Site"]
        bearer = {"Authorization": f"Bearer {SECRET}"}
        assert (await browser.post("/queues/default/pause", headers=bearer)).status_code == 303
        assert await _is_paused(made)
        cookie = {**bearer, "Cookie": "a=b"}
        assert (await browser.post("/queues/default/resume", headers=cookie)).status_code == 403
    assert await _is_paused(made)


async def test_strangers_see_the_login_and_nothing_else(redis_url: str, web: Made) -> None:
    """Every page sends them there and back; programs are told how to ask."""
    made = web(redis_url, auth=Tokens(SECRET))
    async with visitor(made) as browser:
        answer = await browser.get("/queues?q=a&page=2")
        assert (answer.status_code, answer.headers["location"]) == (
            303,
            "/login?next=%2Fqueues%3Fq%3Da%26page%3D2",
        )
        assert (await browser.get("/nowhere")).status_code == 303
        assert (await browser.post("/queues/default/pause")).status_code == 401
        answer = await browser.get("/api/v1/queues")
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert answer.headers["content-type"] == "application/problem+json"
        part = await browser.get("/queues", headers={"HX-Request": "true"})
        assert (part.status_code, part.headers["hx-redirect"]) == (401, "/login")
        assert (await browser.get("/queues?live=1", headers={"HX-Request": "true"})).status_code == 401
        assert (await browser.get("/login")).status_code == 200


async def test_logging_in_and_out(redis_url: str, web: Made) -> None:
    """The cookie is out of reach of scripts and of other sites, and of other paths of this one."""
    await _queue(redis_url)
    made = web(redis_url, auth=Tokens({VIEWER: Principal("vera", Rights.viewer())}))
    mounted = Starlette(routes=[Mount("/ops", made)])
    async with visitor(mounted, base="https://localhost") as browser:
        answer = await browser.post("/ops/login", data={"token": VIEWER, "next": "/ops/queues?q=d"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/ops/queues?q=d")
        cookie = answer.headers["set-cookie"]
        assert VIEWER not in cookie
        for word in ("HttpOnly", "SameSite=strict", "Path=/ops/", "Secure", "Max-Age=43200"):
            assert word.lower() in cookie.lower(), word
        answer = await browser.get("/ops/queues")
        assert answer.status_code == 200
        assert "Logged in as vera" in answer.text
        assert (await browser.get("/ops/login")).status_code == 303
        assert (await browser.post("/ops/queues/default/pause")).status_code == 403
        answer = await browser.post("/ops/logout")
        assert answer.headers["location"] == "/ops/login"
        assert (await browser.get("/ops/queues")).status_code == 303


async def test_a_wrong_token_is_said_and_soon_refused(redis_url: str, web: Made) -> None:
    """Ten in a minute; then the form waits. A program with the right one never does."""
    made = web(redis_url, auth=Tokens(SECRET))
    async with visitor(made) as browser:
        for _ in range(MOST_FAILURES):
            answer = await browser.post("/login", data={"token": "wrong"})
            assert answer.status_code == 403
            assert "none of the tokens" in answer.text
        answer = await browser.post("/login", data={"token": SECRET})
        assert answer.status_code == 429
        assert 0 < int(answer.headers["retry-after"]) <= 60
        # A program whose token is stale must not lock people out of the form, nor they the programs.
        bearer = {"Authorization": f"Bearer {SECRET}"}
        assert (await browser.get("/queues", headers=bearer)).status_code == 200
        for _ in range(MOST_FAILURES):
            assert (await browser.get("/queues", headers={"Authorization": "Bearer x"})).status_code == 303
        assert (await browser.get("/queues", headers={"Authorization": "Bearer x"})).status_code == 429
        assert (await browser.get("/queues", headers=bearer)).status_code == 200


async def test_one_ipv6_network_is_one_guesser(redis_url: str, web: Made) -> None:
    """Whoever has one address has all of its network, and a new one for each guess."""
    made = web(redis_url, auth=Tokens(SECRET))
    for last in range(MOST_FAILURES):
        async with visitor(made, address=f"2001:db8::{last}") as browser:
            assert (await browser.post("/login", data={"token": "wrong"})).status_code == 403
            assert (await browser.get("/queues", headers={"Authorization": "Bearer x"})).status_code == 303
    async with visitor(made, address="2001:db8::ffff") as browser:
        assert (await browser.post("/login", data={"token": "wrong"})).status_code == 429
        assert (await browser.get("/queues", headers={"Authorization": "Bearer x"})).status_code == 429


async def test_a_cookie_is_kept_from_plain_connections_behind_a_proxy(redis_url: str, web: Made) -> None:
    """A proxy that ends TLS speaks plain HTTP to us; the origin of the form tells what the browser speaks."""
    made = web(redis_url, auth=Tokens(SECRET))
    for origin, is_secure in (("https://localhost", True), ("http://localhost", False)):
        async with visitor(made) as browser:
            answer = await browser.post("/login", data={"token": SECRET}, headers={"Origin": origin})
            assert answer.status_code == 303
            assert ("secure" in answer.headers["set-cookie"].lower()) is is_secure


@pytest.mark.parametrize("name", ["X-Forwarded-For", "Forwarded", "Via"])
async def test_an_open_site_serves_no_proxy(redis_url: str, web: Made, name: str) -> None:
    """Behind one of this machine everybody in the world seems to come from here."""
    async with visitor(web(redis_url, auth=NoAuth())) as browser:
        answer = await browser.get("/queues", headers={name: "x"})
        assert answer.status_code == 403
        assert "through a proxy" in answer.text
        assert (await browser.get("/queues")).status_code == 200
    async with visitor(web(redis_url, auth=NoAuth(even_off_loopback=True))) as browser:
        assert (await browser.get("/queues", headers={name: "x"})).status_code == 200


async def test_a_site_open_to_all_still_looks_at_the_host(redis_url: str, web: Made) -> None:
    """Nobody logs in there, so a page of somebody else that points its name here would be let in.

    An address cannot be pointed anywhere; names are said.
    """
    auth = NoAuth(even_off_loopback=True)
    everywhere = {"localhost": 200, "10.1.2.3:8080": 200, "[fd00::1]:8080": 200, "evil.example": 421}
    cases: list[tuple[dict[str, object], dict[str, int]]] = [
        ({}, {**everywhere, "ops.example": 421}),
        ({"allowed_hosts": ["ops.example"]}, {"ops.example": 200, "10.1.2.3": 421, "evil.example": 421}),
        ({"allowed_hosts": ["*"]}, {"evil.example": 200}),
    ]
    for options, hosts in cases:
        async with visitor(web(redis_url, auth=auth, **options), address="10.9.9.9") as browser:
            for host, status in hosts.items():
                answer = await browser.get("/queues", headers={"Host": host})
                assert answer.status_code == status, (options, host)
                answer = await browser.post(
                    "/queues/q/pause", headers={"Host": host, "Sec-Fetch-Site": "same-origin"}
                )
                assert answer.status_code == (421 if status == 421 else 404), (options, host)


async def test_odd_lengths_and_cookies_are_no_bugs(redis_url: str, web: Made) -> None:
    """Python reads no whole number of thousands of digits."""
    auth = Tokens(SECRET)
    async with visitor(web(redis_url, auth=auth)) as browser:
        cookie = {"Cookie": f"{auth.cookie}={'9' * 5000}.x"}
        assert (await browser.get("/queues", headers=cookie)).status_code == 303
        length = {"Content-Length": "9" * 5000}
        assert (await browser.get("/queues", headers=length)).status_code == 413


async def test_a_login_leads_nowhere_else(redis_url: str, web: Made) -> None:
    """A link to our login must not end on somebody else's page."""
    made = web(redis_url, auth=Tokens(SECRET))
    async with visitor(made) as browser:
        for following in (
            "https://evil.example/",
            "//evil.example",
            "/\\evil.example",
            "javascript:alert(1)",
        ):
            page = await browser.get("/login", params={"next": following})
            assert "evil" not in page.text
            assert "javascript" not in page.text
            answer = await browser.post("/login", data={"token": SECRET, "next": following})
            assert answer.headers["location"] == "/"


async def test_a_hook_tells_who_is_there(redis_url: str, web: Made) -> None:
    """The application has its own users; it may look them up, and it may refuse with its own words."""
    from starlette.exceptions import HTTPException

    async def who(request: Request) -> Principal | None:
        name = request.headers.get("x-user", "")
        if name == "mallory":
            raise HTTPException(403, "Not you.")
        return Principal(name, Rights.operator()) if name else None

    await _queue(redis_url)
    made = web(redis_url, auth=who)
    async with visitor(made) as browser:
        assert (await browser.get("/queues")).status_code == 401
        assert (await browser.get("/login")).status_code == 404
        answer = await browser.get("/queues", headers={"X-User": "mallory"})
        assert (answer.status_code, "Not you." in answer.text) == (403, True)
        assert (await browser.post("/queues/default/pause", headers={"X-User": "olga"})).status_code == 303
    assert await _is_paused(made)
    made_plainly = web(redis_url, auth=lambda request: Principal("plain"))
    async with visitor(made_plainly) as browser:
        assert (await browser.get("/queues")).status_code == 200
        assert (await browser.post("/queues/default/resume")).status_code == 403


async def test_read_only_is_for_everybody(redis_url: str, web: Made) -> None:
    """Whatever the rights of the visitor; and no button is shown that would not work."""
    await _queue(redis_url)
    made = web(redis_url, auth=NoAuth(), read_only=True)
    async with visitor(made) as browser:
        page = await browser.get("/queues")
        assert "read-only" in page.text
        assert "/queues/default/pause" not in page.text
        assert (await browser.post("/queues/default/pause")).status_code == 403
    assert not await _is_paused(made)


async def test_without_a_login_other_machines_are_refused(redis_url: str, web: Made) -> None:
    """Mounted in an application that listens everywhere, a `Host` header is easily made up."""
    made = web(redis_url, auth=NoAuth())
    async with visitor(made, address="10.0.0.7") as browser:
        answer = await browser.get("/queues")
    assert answer.status_code == 403


async def test_large_bodies_are_refused(redis_url: str, web: Made) -> None:
    """Also before anybody logged in, and also when they do not say how large they are."""
    made = web(redis_url, auth=Tokens(SECRET))

    async def pieces() -> Any:
        for _ in range(20):
            yield b"x" * (LARGEST_BODY // 10)

    form = {"Content-Type": "application/x-www-form-urlencoded"}
    async with visitor(made) as browser:
        assert (
            await browser.post("/login", content=b"x" * (LARGEST_BODY + 1), headers=form)
        ).status_code == 413
        assert (await browser.post("/login", content=pieces(), headers=form)).status_code == 413


@pytest.mark.parametrize(
    "path",
    [
        "../auth.py",
        "..%2fauth.py",
        "%2e%2e/auth.py",
        "..%252fauth.py",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "",
        "app.css",
        "vendor/manifest.json",
    ],
)
async def test_static_files_are_those_that_are_listed(redis_url: str, path: str, web: Made) -> None:
    """No path is opened that somebody asks for."""
    made = web(redis_url, auth=Tokens(SECRET))
    async with visitor(made) as browser:
        answer = await browser.get(f"/static/{path}")
        assert answer.status_code in (303, 404)
        assert "import" not in answer.text


async def test_static_files_are_packed_and_kept(redis_url: str, web: Made) -> None:
    """Their address changes when they do."""
    made = web(redis_url, auth=Tokens(SECRET))
    path = f"/static/{made.site.statics.path('vendor/htmx.min.js')}"
    async with visitor(made) as browser:
        packed = await browser.get(path, headers={"Accept-Encoding": "gzip"})
        plain = await browser.get(path, headers={"Accept-Encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.content == plain.content
    assert packed.headers["content-type"] == "text/javascript; charset=utf-8"


async def test_methods_that_are_not_meant_are_refused(redis_url: str, web: Made) -> None:
    """And no GET changes anything."""
    await _queue(redis_url)
    made = web(redis_url, auth=NoAuth())
    async with visitor(made) as browser:
        assert (await browser.get("/queues/default/pause")).status_code in (404, 405)
        assert (await browser.put("/queues")).status_code == 405
        assert (await browser.request("TRACE", "/queues")).status_code == 405
        assert (await browser.head("/queues")).status_code == 200
    assert not await _is_paused(made)
