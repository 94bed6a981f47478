"""Tasks are found, looked at, changed one by one, by ticks, and by the thousand."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from asyncq import Mux, Server, Task
from asyncq.errors import TaskNotFoundError
from asyncq.retry import Fixed
from tests.support.waiting import wait_until

from .conftest import Visit
from .visiting import Visitor
from .world import EVIL, World


async def _state(site: World, queue: str, task_id: str) -> str:
    return (await site.inspector.tasks.get(queue, task_id)).state.value


async def test_tasks_are_searched(visit: Visit, site: World) -> None:
    """By what is typed into one field; what it cannot mean is said in words."""
    ids = await site.tasks("find-tasks", 3)
    visitor = await visit("/tasks")
    page = visitor.page
    field = page.get_by_label("Search")
    rows = page.locator("main tbody tr")
    await field.fill("queue:find-tasks payload.number:1")
    await page.get_by_role("button", name="Search").click()
    await expect(rows).to_have_count(1)
    await expect(rows).to_contain_text(ids[1])
    await page.get_by_label("Search").fill(ids[2])
    await page.keyboard.press("Enter")
    await expect(page.locator("main")).to_contain_text(ids[2])
    visitor.expected = {400}
    await visitor.go("/tasks?q=state:sleeping")
    await expect(page.locator("main")).to_contain_text("sleeping")
    await visitor.assert_usable()


async def test_a_task_is_shown_with_all_that_is_known(visit: Visit, site: World) -> None:
    """What failed says why, as often as it did, with a traceback; and nothing of it is run here."""
    (failed,) = (await site.inspector.tasks.list("bills", "retry", size=1)).tasks
    visitor = await visit(f"/tasks/bills/{failed.id}")
    page = visitor.page
    await expect(page.locator("ol.timeline")).to_contain_text(f"the bank does not answer {EVIL}")
    await page.get_by_text("Traceback").first.click()
    await expect(page.locator("ol.timeline pre").first).to_contain_text("ConnectionError")
    await expect(page.locator("#main")).to_contain_text('"amount": 1250')
    await visitor.assert_usable()


async def test_one_task_is_archived_run_and_deleted(visit: Visit, site: World) -> None:
    """From its page, which says what it is now."""
    (task_id,) = await site.tasks("act-one", 1, process_in=3600)
    visitor = await visit(f"/tasks/act-one/{task_id}")
    page = visitor.page
    await page.get_by_role("button", name="Archive").click()
    await expect(page.get_by_role("heading", name="Archive")).to_be_visible()
    await visitor.assert_usable()
    await page.get_by_role("button", name="Archive it").click()
    await expect(page.locator("#messages .message")).to_be_visible()
    assert await _state(site, "act-one", task_id) == "archived"
    await page.get_by_role("button", name="Run now").first.click()
    await expect(page.locator("#main .badge").first).to_contain_text("pending")
    assert await _state(site, "act-one", task_id) == "pending"
    await visitor.assert_usable()
    await page.get_by_role("button", name="Delete").click()
    await page.get_by_role("button", name="Delete it").click()
    await expect(page.locator("h1")).to_have_text("Tasks")
    with pytest.raises(TaskNotFoundError):
        await site.inspector.tasks.get("act-one", task_id)


async def test_a_task_that_runs_is_cancelled(visit: Visit, site: World) -> None:
    """And its progress is seen until then."""
    info = await site.client.enqueue(
        Task("image:resize", {"done": 5}, queue="images"), max_retry=0, timeout=3600
    )
    visitor = await visit(f"/tasks/images/{info.id}")
    page = visitor.page
    await expect(page.locator("progress")).to_have_attribute("value", "5")
    await visitor.assert_usable()
    await page.get_by_role("button", name="Cancel").click()
    await page.get_by_role("button", name="Cancel it").click()
    await expect(page.locator("#main .badge").first).to_contain_text("archived")
    assert await _state(site, "images", info.id) == "archived"


async def test_a_task_is_put_off(visit: Visit, site: World) -> None:
    """To a time, or by so long."""
    (task_id,) = await site.tasks("act-when", 1, process_in=3600)
    visitor = await visit(f"/tasks/act-when/{task_id}")
    before = await site.inspector.tasks.get("act-when", task_id)
    await visitor.page.get_by_label("In so long, or at").fill("5h")
    await visitor.page.get_by_role("button", name="Reschedule").click()
    await expect(visitor.page.locator("#messages .message")).to_be_visible()
    after = await site.inspector.tasks.get("act-when", task_id)
    assert before.next_process_at is not None
    assert after.next_process_at is not None
    assert 3.5 < (after.next_process_at - before.next_process_at).total_seconds() / 3600 < 4.5


async def test_a_task_is_edited(visit: Visit, site: World) -> None:
    """What is no JSON is not taken, and what was typed is still there."""
    (task_id,) = await site.tasks("act-edit", 1, process_in=3600)
    visitor = await visit(f"/tasks/act-edit/{task_id}")
    page = visitor.page
    await page.get_by_role("link", name="Edit", exact=True).click()
    await visitor.assert_usable()
    visitor.expected = {400, 422}
    await page.get_by_label("Payload, as JSON").fill('{"number": ')
    await page.get_by_role("button", name="Change it").click()
    await expect(page.locator(".message-problem")).to_be_visible()
    await expect(page.get_by_label("Payload, as JSON")).to_have_value('{"number": ')
    await page.get_by_label("Payload, as JSON").fill('{"number": 43}')
    await page.get_by_role("button", name="Change it").click()
    await expect(page.locator("#main")).to_contain_text('"number": 43')
    assert (await site.inspector.tasks.get("act-edit", task_id)).payload == {"number": 43}


async def test_a_task_is_enqueued_and_copied(visit: Visit, site: World) -> None:
    """By hand, for whoever tries something out."""
    visitor = await visit("/enqueue")
    page = visitor.page
    await page.get_by_label("Type").fill("idle:work")
    await page.get_by_label("Queue", exact=True).fill("act-new")
    await page.get_by_label("Payload", exact=True).fill('{"number": 7}')
    await page.get_by_label("Run it in so long").fill("1h")
    await page.get_by_text("Options").click()
    await visitor.assert_usable()
    await page.get_by_label("Id of its own").fill("mine")
    await page.get_by_role("button", name="Enqueue it").click()
    await expect(page.locator("#main")).to_contain_text("mine")
    info = await site.inspector.tasks.get("act-new", "mine")
    assert (info.type, info.payload, info.state.value) == ("idle:work", {"number": 7}, "scheduled")
    await page.get_by_role("link", name="Enqueue a copy").click()
    await page.get_by_role("button", name="Enqueue it").click()
    await expect(page.locator("#messages .message")).to_be_visible()
    assert (await site.inspector.queues.get("act-new")).size == 2


async def test_those_that_are_ticked_are_archived(visit: Visit, site: World) -> None:
    """One box ticks them all."""
    await site.tasks("act-tick", 4)
    visitor = await visit("/tasks?q=queue:act-tick")
    page = visitor.page
    await page.get_by_label("Tick all on this page").check()
    await expect(page.locator("input[name=task]:checked")).to_have_count(4)
    await page.locator("input[name=task]").first.uncheck()
    await page.get_by_role("button", name="Archive", exact=True).click()
    await expect(page.get_by_role("heading", name="Archive 3 tasks?")).to_be_visible()
    await page.get_by_role("button", name="Archive them").click()
    await expect(page.locator("#messages")).to_contain_text("3")
    info = await site.inspector.queues.get("act-tick")
    assert (info.pending, info.archived) == (1, 3)


@pytest.mark.parametrize(("action", "state"), [("Run", "pending"), ("Cancel", "archived"), ("Delete", "")])
async def test_those_that_are_ticked_are_run_cancelled_and_deleted(
    visit: Visit, site: World, action: str, state: str
) -> None:
    """What cannot be taken back is asked about once more; what is not ticked stays as it was."""
    queue = f"act-tick-{action.lower()}"
    ids = await site.tasks(queue, 3, process_in=3600)
    visitor = await visit(f"/tasks?q=queue:{queue}")
    page = visitor.page
    for box in (0, 2):
        await page.locator("input[name=task]").nth(box).check()
    await page.get_by_role("button", name=action, exact=True).click()
    if action != "Run":
        await expect(page.get_by_role("heading", name=f"{action} 2 tasks?")).to_be_visible()
        await visitor.assert_usable()
        await page.get_by_role("button", name=f"{action} them").click()
    await expect(page.locator("#messages")).to_contain_text("2 of 2 tasks")
    left = {info.id: info.state.value for info in await site.inspector.search.find(f"queue:{queue}")}
    assert left == {ids[1]: "scheduled", **({ids[0]: state, ids[2]: state} if state else {})}


async def test_a_task_is_run_with_all_its_retries(visit: Visit, site: World) -> None:
    """For one that failed for a reason that is gone: it may fail as often as a new one."""
    (task_id,) = await site.tasks("act-fresh", 1)
    mux = Mux()

    @mux.handle("idle:work")
    async def fail(_: Task) -> None:
        raise OSError("not yet")

    async with Server(site.redis_url, queues=["act-fresh"], retry=Fixed(3600.0)).running(mux):

        async def has_failed() -> bool:
            return await _state(site, "act-fresh", task_id) == "retry"

        await wait_until(has_failed, "the task to fail")
    visitor = await visit(f"/tasks/act-fresh/{task_id}")
    await visitor.page.get_by_role("button", name="Run with all retries").click()
    await expect(visitor.page.locator("#main .badge").first).to_contain_text("pending")
    info = await site.inspector.tasks.get("act-fresh", task_id)
    assert (info.state.value, info.retried) == ("pending", 0)


async def test_a_payload_is_downloaded(visit: Visit, site: World) -> None:
    """As it is stored, byte by byte, and never as a page of ours."""
    raw = b"\x00\xff<script>alert(1)</script>"
    info = await site.client.enqueue(Task("idle:work", raw, queue="act-load"), process_in=3600)
    visitor = await visit(f"/tasks/act-load/{info.id}")
    async with visitor.page.expect_download() as started:
        await visitor.page.get_by_role("link", name="Download").click()
    download = await started.value
    assert download.suggested_filename == "payload.bin"
    assert (await download.path()).read_bytes() == (await site.inspector.tasks.get("act-load", info.id)).raw
    await expect(visitor.page.locator("h1")).to_have_text("idle:work")


async def test_a_job_is_cancelled(visit: Visit, site: World) -> None:
    """What it did stays done, and the rest is as it was."""
    await site.tasks("act-stop", 120)
    visitor = await visit("/tasks?q=queue:act-stop")
    page = visitor.page
    await page.get_by_role("button", name="Archive all…").click()
    await expect(page.get_by_role("heading", name="Archive 120 tasks?")).to_be_visible()
    await page.get_by_label("Tasks a second at the most").fill("10")
    await page.get_by_label("I am sure").check()
    await page.locator("#go ~ form button").click()
    await expect(page.locator("#live .badge").first).to_have_text("running")
    await visitor.assert_usable()
    await page.get_by_role("button", name="Cancel this job").click()
    await expect(page.locator("#live .badge").first).to_have_text("cancelled")
    await expect(page.locator("#messages")).to_contain_text("what it did stays done")
    info = await site.inspector.queues.get("act-stop")
    assert info.pending > 0
    assert info.pending + info.archived == 120
    await visitor.assert_usable()


async def test_all_that_match_are_deleted_by_a_job(visit: Visit, site: World) -> None:
    """It counts first, asks whether that is meant, and shows how far it is."""
    await site.tasks("act-bulk", 25)
    visitor = await visit("/tasks?q=queue:act-bulk")
    page = visitor.page
    await page.get_by_role("button", name="Delete all…").click()
    await _go(visitor, "Delete 25 tasks?")
    assert (await site.inspector.queues.get("act-bulk")).size == 0
    await visitor.go("/jobs")
    await expect(page.locator("main tbody tr").first).to_contain_text("act-bulk")
    await visitor.assert_usable()


async def _go(visitor: Visitor, question: str) -> None:
    """On the page of a job that counted: say yes, and wait for its end."""
    page = visitor.page
    await expect(page.get_by_role("heading", name=question)).to_be_visible()
    await visitor.assert_usable()
    await page.get_by_label("I am sure").check()
    await page.locator("#go ~ form button").click()
    await expect(page.get_by_role("heading", name=question)).to_be_hidden()
    await expect(page.locator("#live")).to_contain_text("done")
    await visitor.assert_usable()


async def test_the_failures_of_one_cause_are_run_again(visit: Visit, site: World) -> None:
    """Once the cause is gone; the others stay where they are."""
    visitor = await visit("/failures?queue=bills")
    page = visitor.page
    row = page.locator("main tbody tr", has_text="the bank does not answer")
    await expect(row).to_contain_text("2")
    await expect(page.locator("main tbody tr", has_text="the card was refused")).to_contain_text("3")
    await row.get_by_role("button", name="Archive all").click()
    await _go(visitor, "Archive 2 tasks?")
    info = await site.inspector.queues.get("bills")
    assert (info.retry, info.archived) == (0, 5)
    for task in (await site.inspector.tasks.list("bills", "archived")).tasks:
        if "bank" in task.last_error:  # for the tests that come after this one
            await site.inspector.tasks.run("bills", task.id)
