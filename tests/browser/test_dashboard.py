"""The dashboard in a browser, on real workers under load.

The tests depend on their order: load, then rest, then one worker stops, then the other.
"""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.conftest import picture
from tests.worker import ROOT, wait_until, wait_until_equal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page

    from tests.browser.conftest import Witness
    from tests.cluster import Cluster
    from tests.worker import Worker

TOKEN = "a-token-of-some-length"
USERS = 300
DRAWN = re.compile("^M")


def generate(cluster: Cluster, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "faust", "-A", "app", "generate"]
    oddities = ["--invalid", "0.01", "--duplicates", "0.02", "--late", "0.005"]
    return subprocess.Popen(
        [*command, "--users", str(USERS), "--videos", "40", *oddities, *arguments],
        env=cluster.environment,
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@pytest.fixture(scope="module")
def cluster(browser: Browser, make_shared_cluster: Callable[..., Cluster]) -> Cluster:
    cluster = make_shared_cluster(
        TOPIC_PARTITIONS=4, BROKER_SESSION_TIMEOUT=6, REELS_VIRAL_MIN_VIEWS=300
    )
    cluster.create_topic(cluster.events)
    return cluster


@pytest.fixture(scope="module")
def workers(cluster: Cluster) -> tuple[Worker, Worker]:
    """Two workers with two partitions each."""
    first, second = cluster.worker("a").launch(), cluster.worker("b").launch()
    for worker in (first, second):
        worker.wait_ready()
    wait_until(
        lambda: all(len(w.get("/overview")["partitions"]["owned"]) == 2 for w in (first, second)),
        "each has its half",
    )
    for worker in (first, second):
        worker.wait_ready()
    return first, second


@pytest.fixture(scope="module")
def load(cluster: Cluster, workers: tuple[Worker, Worker]) -> Iterator[subprocess.Popen[bytes]]:
    """Nearly two hours of event time, sent within seconds."""
    start = datetime.now(UTC) - timedelta(minutes=110)
    process = generate(
        cluster,
        *("--rate", "2500", "--duration", "6", "--viral", "3", "--speed", "1000"),
        *("--start", f"{start:%Y-%m-%dT%H:%M:%SZ}"),
    )
    yield process
    process.kill()
    process.wait()


@pytest.fixture(scope="module")
def rest(cluster: Cluster, load: subprocess.Popen[bytes]) -> None:
    """Wait until all of the load is applied."""
    assert load.wait(60) == 0
    cluster.wait_until_applied()


def number(text: str | None) -> int:
    assert text is not None
    return int(text.replace(",", ""))


def is_live(page: Page) -> None:
    expect(page.locator("#state-text")).to_have_text("live")


def sum_over(workers: tuple[Worker, Worker], *path: str) -> int:
    total = 0
    for worker in workers:
        found = worker.get("/overview")
        for name in path:
            found = found[name]
        total += found
    return total


def test_under_load_it_moves_without_a_complaint_and_asks_nobody_else(
    workers: tuple[Worker, Worker],
    load: subprocess.Popen[bytes],
    visit: Callable[..., tuple[Page, Witness]],
) -> None:
    page, witness = visit(workers[0].url("/"), viewport={"width": 1280, "height": 900})
    with picture(page, "dashboard-under-load"):
        is_live(page)
        read = page.locator("#read")
        wait_until(lambda: number(read.text_content()) > 0, "something was read")
        before = number(read.text_content())
        wait_until(lambda: number(read.text_content()) > before, "more was read")
        expect(page.locator("#rate")).not_to_have_text("0")
        expect(page.locator("#p99")).to_contain_text("s")
        expect(page.locator(".chart canvas")).to_have_count(3)
        expect(page.locator("#viral > tr")).not_to_have_count(0)
        expect(page.locator("#viral .sparkline path").first).to_have_attribute("d", DRAWN)
    assert witness.complaints == []
    assert all(url.startswith(workers[0].url("/")) for url in witness.requests)


def test_at_rest_its_figures_are_those_of_the_workers(
    workers: tuple[Worker, Worker], rest: None, visit: Callable[..., tuple[Page, Witness]]
) -> None:
    page, _ = visit(workers[0].url("/"))
    is_live(page)
    read = sum_over(workers, "events", "read")
    assert read == sum(
        int(value)
        for worker in workers
        for name, value in worker.metrics().items()
        if name.startswith("reels_events_read_total")
    )
    wait_until_equal(lambda: number(page.locator("#read").text_content()), read)
    expect(page.locator("#balance")).to_have_text("it adds up")
    for row in page.locator("#outcomes > tr:not(.reason)").all():
        outcome = row.get_attribute("data-key")
        assert outcome is not None
        expected = sum_over(workers, "events", "outcomes", outcome)
        assert number(row.locator("td").first.text_content()) == expected, outcome
    for row in page.locator("#outcomes > tr.reason").all():
        key = row.get_attribute("data-key")
        assert key is not None
        reason = key.removeprefix("for ")
        expected = sum(
            int(worker.metrics().get(f'reels_events_rejected_total{{reason="{reason}"}}', 0))
            for worker in workers
        )
        assert number(row.locator("td").first.text_content()) == expected > 0, reason
    expect(page.locator("#lag-records")).to_have_text("0")
    expect(page.locator("#lag-chart")).to_have_attribute(
        "aria-label", re.compile("^Records behind")
    )
    expect(page.locator("#rate")).to_have_text("0")
    assert page.locator(".partition-lag").all_text_contents() == ["0"] * 4


def test_at_rest_its_viral_videos_are_those_of_the_list(
    workers: tuple[Worker, Worker], rest: None, visit: Callable[..., tuple[Page, Witness]]
) -> None:
    page, _ = visit(workers[1].url("/"))
    is_live(page)
    rows = page.locator("#viral > tr")
    expected: list[list[str | None]] = [
        [
            str(each["video_id"]),
            *(f"{each[name]:,}" for name in ("views", "shares", "comments")),
            # Chromium rounds halves up, Python to even.
            f"{each['viral_coefficient'] + 1e-9:.2f}",
        ]
        for each in workers[0].get("/videos/viral")["videos"]
    ]
    assert expected

    def shown() -> list[list[str | None]]:
        found = []
        for row in rows.all():
            texts = row.locator("td").all_text_contents()
            found.append([row.locator("a").text_content(), *texts[2:5], texts[0]])
        return found

    wait_until_equal(shown, expected)
    expect(page.locator("#viral-count")).to_have_text(str(len(expected)))


def test_owners_are_those_of_the_group(
    workers: tuple[Worker, Worker], rest: None, visit: Callable[..., tuple[Page, Witness]]
) -> None:
    page, _ = visit(workers[0].url("/"))
    is_live(page)
    owners = workers[0].get("/overview")["partitions"]["by_worker"]
    for item in page.locator("#partitions > li").all():
        title, key = item.locator(".badge").get_attribute("title"), item.get_attribute("data-key")
        assert title is not None
        assert key is not None
        url = next(u for u, owned in owners.items() if int(key) in owned)
        assert title.endswith(url.removeprefix("http://").rstrip("/"))
    expect(page.locator("#workers .chip")).to_have_text(["ready", "ready"])


#: Gives the page a history of five minutes, three times without ten seconds.
HISTORY_WITH_GAPS = """async () => {
  const { showHistory } = await import("/static/curves.js");
  const now = Date.now();
  const time = Array.from({ length: 298 }, (_, index) => now + 1000 * (index - 299))
    .filter((_, index) => index % 80 < 70);
  const values = time.map((at) => Math.round(at / 1000) % 1000);
  const [p50, p95, p99, lag_records, lag_seconds] = Array(5).fill(values);
  showHistory({ time, rate: values, p50, p95, p99, lag_records, lag_seconds });
}"""
#: Returns the figures as shown, and as drawn under the pointer.
POINTED_AT = """async () => {
  const { count, time } = await import("/static/format.js");
  const [{ data: [times, rates], cursor: { idx } }] = uPlot.sync("seconds").plots;
  const text = (id) => document.getElementById(id).textContent;
  return [
    [text("rate-when"), text("rate")],
    [`at ${time(times[idx] * 1000)}`, count(rates[idx])],
  ];
}"""


def test_figures_are_those_of_the_second_pointed_at_also_after_gaps(
    workers: tuple[Worker, Worker], rest: None, visit: Callable[..., tuple[Page, Witness]]
) -> None:
    page, witness = visit(workers[0].url("/"), viewport={"width": 1280, "height": 900})
    is_live(page)
    page.evaluate(HISTORY_WITH_GAPS)
    chart, as_of = page.locator("#rate-chart .u-over"), page.locator("#as-of")
    width = chart.evaluate("e => e.clientWidth")
    # The last one is the newest second, whichever that is.
    for part in (0.1, 0.4, 0.6, 0.8, 1.0):
        chart.hover(position={"x": part * width - 1, "y": 50})
        for _ in range(2):
            expect(as_of).not_to_have_text(as_of.text_content() or "")
            shown, drawn = page.evaluate(POINTED_AT)
            assert shown == drawn
    page.mouse.move(0, 0)
    expect(page.locator("#rate-when")).to_be_empty()
    # No figure has ended the stream.
    assert sum(url.endswith("/overview/stream") for url in witness.requests) == 1
    assert witness.complaints == []


def test_a_silent_worker_at_whose_address_another_answers_says_so(
    workers: tuple[Worker, Worker], rest: None, visit: Callable[..., tuple[Page, Witness]]
) -> None:
    page, _ = visit(workers[0].url("/"), viewport={"width": 360, "height": 780})
    is_live(page)
    show = """async (worker) => {
      const { showWorkers } = await import("/static/workers.js");
      showWorkers([worker], "");
      const state = document.querySelector("#workers .chip"), card = state.closest(".card");
      return [state.textContent, card.scrollWidth <= card.clientWidth];
    }"""
    url = "http://reels-1.reels.production.svc.cluster.local:6066/"
    silent = {"url": url, "partitions": [1], "state": "silent", "since": "2025-01-15T14:30:45Z"}
    obstacle = f"{url}, the address of worker bbbb, leads to worker cccc"
    text, fits = page.evaluate(show, silent)
    assert (text[:13], fits) == ("silent since ", True)
    assert page.evaluate(show, {**silent, "obstacle": obstacle}) == [obstacle, True]


def test_what_waits_for_a_worker_is_a_number_unknown_or_not_said(
    workers: tuple[Worker, Worker], visit: Callable[..., tuple[Page, Witness]]
) -> None:
    page, _ = visit(workers[0].url("/"))
    is_live(page)
    shown = page.evaluate(
        """async () => {
            const { showWorkers } = await import("/static/workers.js");
            const worker = (url, more) => ({ url, partitions: [], state: "silent", ...more });
            const answers = { state: "ready", rate: 0, uptime_s: 1 };
            showWorkers([
                worker("http://a:1", { ...answers, lag: { records: 1234, seconds: 1 } }),
                worker("http://b:1", { ...answers, lag: null }),
                worker("http://c:1", { since: "2025-01-15T14:30:45Z" }),
            ]);
            return [...document.querySelectorAll("#workers > tr")].map(
                (row) => row.children[4].textContent);
        }"""
    )
    assert shown == ["1,234", "unknown", "\N{EN DASH}"]


def test_the_sums_of_a_series_are_the_plain_answer(
    workers: tuple[Worker, Worker], rest: None
) -> None:
    found = 0
    for user_id in range(1, 60):
        for query in ("", "?window=1h"):
            if workers[0].status(f"/users/{user_id}") != 200:
                continue
            plain = workers[0].get(f"/users/{user_id}{query}")
            series = workers[1].get(f"/users/{user_id}/series{query}")
            panes = series["panes"]
            assert series["window"] == plain["window"]
            assert sum(p["views"] for p in panes) == plain["total_videos_watched"]
            assert sum(p["likes"] for p in panes) == plain["likes"]
            watched = sum(p["watch_ms"] for p in panes) / 60_000
            assert watched == plain["total_engagement_minutes"]
            found += len(panes) > 1
    assert found > 10
    for each in workers[0].get("/videos/viral")["videos"]:
        path = f"/videos/{each['video_id']}"
        plain, series = workers[0].get(path), workers[1].get(f"{path}/series")
        for window in ("rolling", "tumbling"):
            bounds = plain[window]
            inside = [p for p in series["panes"] if bounds["start"] <= p["start"] < bounds["end"]]
            for name in ("views", "likes", "comments", "shares"):
                assert sum(p[name] for p in inside) == bounds[name]


def test_a_video_is_looked_up_with_the_keyboard_alone(
    workers: tuple[Worker, Worker], rest: None, visit: Callable[..., tuple[Page, Witness]]
) -> None:
    page, witness = visit(workers[0].url("/"))
    is_live(page)
    video = workers[0].get("/videos/viral")["videos"][-1]["video_id"]
    plain = workers[0].get(f"/videos/{video}")
    with picture(page, "dashboard-look-up"):
        page.keyboard.press("Tab")
        expect(page.locator(".skip")).to_be_focused()
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        expect(page.locator("input[value=user]")).to_be_focused()
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Tab")
        page.keyboard.type(str(video))
        page.keyboard.press("Enter")
        fields = page.locator("#lookup-fields > div")
        expect(fields).to_have_count(7)
        shown = {
            f.locator("dt").text_content(): f.locator("dd").text_content() for f in fields.all()
        }
        assert {name: number(shown[name]) for name in ("views", "likes", "comments", "shares")} == {
            name: plain["rolling"][name] for name in ("views", "likes", "comments", "shares")
        }
        assert shown["viral"] == "yes"
        expect(page.locator("#lookup-charts canvas")).to_have_count(2)
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        rows = page.locator("#lookup-steps > tr")
        expect(rows.first).to_be_visible()
        views = [number(row.locator("td").first.text_content()) for row in rows.all()]
        assert sum(views) == plain["rolling"]["views"]
    assert witness.complaints == []


def test_a_look_up_that_fails_at_first_is_drawn_when_it_is_answered(
    workers: tuple[Worker, Worker], rest: None, visit: Callable[..., tuple[Page, Witness]]
) -> None:
    page, _ = visit(workers[0].url("/"))
    is_live(page)
    page.route("**/series", lambda route: route.abort(), times=1)
    video = workers[0].get("/videos/viral")["videos"][0]["video_id"]
    page.goto(workers[0].url(f"/#video/{video}"))
    expect(page.locator("#lookup-message")).to_have_text("The worker does not answer.")
    expect(page.locator("#lookup-charts canvas")).to_have_count(2)
    expect(page.locator("#lookup-message")).to_be_empty()


def test_the_page_keeps_the_charts_of_the_last_look_up_only(
    workers: tuple[Worker, Worker], rest: None, visit: Callable[..., tuple[Page, Witness]]
) -> None:
    page, _ = visit(workers[0].url("/"))
    is_live(page)
    page.evaluate("""() => {
      const { addEventListener: add, removeEventListener: remove } = EventTarget.prototype;
      const counted = (method, step) => function (...rest) {
        if (this instanceof MediaQueryList) window.listeners += step;
        return method.apply(this, rest);
      };
      window.listeners = 0;
      EventTarget.prototype.addEventListener = counted(add, 1);
      EventTarget.prototype.removeEventListener = counted(remove, -1);
    }""")
    known = [user for user in range(1, 60) if workers[0].status(f"/users/{user}") == 200]
    for user in known[:4]:
        page.goto(workers[0].url(f"/#user/{user}"))
        expect(page.locator("#lookup-title-of")).to_have_text(f"user {user}")
    expect(page.locator("#lookup-charts canvas")).to_have_count(2)
    assert page.evaluate('[uPlot.sync("lookup").plots.length, listeners]') == [2, 2]


def test_who_is_not_known_is_said_in_words(
    workers: tuple[Worker, Worker], rest: None, visit: Callable[..., tuple[Page, Witness]]
) -> None:
    page, _ = visit(workers[0].url("/#user/9223372036854775807"))
    expect(page.locator("#lookup-message")).to_have_text(
        "Nothing is known of user 9223372036854775807."
    )
    expect(page.locator("#lookup-result")).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible_and_fits_a_phone(
    workers: tuple[Worker, Worker],
    rest: None,
    visit: Callable[..., tuple[Page, Witness]],
    scheme: str,
) -> None:
    video = workers[0].get("/videos/viral")["videos"][0]["video_id"]
    page, _ = visit(
        workers[0].url(f"/#video/{video}"),
        color_scheme=scheme,
        viewport={"width": 1280, "height": 900},
        reduced_motion="reduce",
    )
    is_live(page)
    expect(page.locator("#lookup-charts canvas")).to_have_count(2)
    page.locator("summary").click()
    with picture(page, f"dashboard-{scheme}"):
        # No name of an outcome or a reason wraps to a second line.
        lines = "e => e.map(h => Math.round(h.lastElementChild.getClientRects().length))"
        assert set(page.locator("#outcomes th").evaluate_all(lines)) == {1}
        assert page.locator("main > :not(noscript)").last.get_attribute("id") == "lookup-card"
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
    page.set_viewport_size({"width": 360, "height": 780})
    with picture(page, f"dashboard-phone-{scheme}"):
        wait_until_equal(lambda: page.evaluate("document.documentElement.scrollWidth"), 360)
        # The look-up comes first, in the order of the keyboard and on the screen.
        top = "e => e.getBoundingClientRect().top + scrollY"
        assert page.locator("#lookup-card").evaluate(top) < page.locator("#figures").evaluate(top)
        assert page.locator("main > :not(noscript)").first.get_attribute("id") == "lookup-card"
        # Nothing is cut off: no card's content is wider than the card.
        wider = "e => e.filter(c => c.scrollWidth > c.clientWidth).map(c => c.textContent)"
        assert page.locator(".card").evaluate_all(wider) == []
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(14, 17, 22)") is (scheme == "dark")


@pytest.fixture(scope="module")
def guarded(browser: Browser, make_shared_cluster: Callable[..., Cluster]) -> Iterator[Worker]:
    """A worker with a token."""
    cluster = make_shared_cluster(TOPIC_PARTITIONS=1, REELS_HTTP_TOKEN=TOKEN)
    worker = cluster.worker().start()
    yield worker
    assert worker.terminate() == 0


def test_a_worker_with_a_token_asks_for_it(
    guarded: Worker, visit: Callable[..., tuple[Page, Witness]]
) -> None:
    page, witness = visit(guarded.url("/"))
    dialog, given = page.locator("#token-dialog"), page.locator("#token")
    expect(dialog).to_be_visible()
    expect(given).to_be_focused()
    expect(page.locator("#state-text")).to_have_text("needs a token")
    assert Axe().run(page).violations_count == 0
    page.keyboard.type("a-wrong-token-of-some-length")
    page.keyboard.press("Enter")
    expect(page.locator("#token-message")).to_have_text("Wrong token.")
    page.keyboard.type(TOKEN)
    page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    is_live(page)
    page.reload()
    is_live(page)
    assert all(TOKEN not in url for url in witness.requests)
    # The browser reports each answer with 401: two came before the right token.
    assert len(witness.complaints) == 2
    assert all("401" in complaint for complaint in witness.complaints)


def test_a_wrong_token_is_called_wrong_until_another_is_given(
    guarded: Worker, visit: Callable[..., tuple[Page, Witness]]
) -> None:
    page, witness = visit(guarded.url("/#user/42"))
    message = page.locator("#token-message")
    expect(page.locator("#token-dialog")).to_be_visible()
    page.clock.install()
    page.keyboard.type("a-wrong-token-of-some-length")
    page.keyboard.press("Enter")
    expect(message).to_have_text("Wrong token.")
    expect(page.locator("#lookup-message")).to_contain_text("token")
    asked = len(witness.requests)
    page.clock.fast_forward(60_000)
    page.evaluate("fetch('/healthz')")
    # Behind the dialog, the page asks for nothing.
    assert [url.removeprefix(guarded.url("")) for url in witness.requests[asked:]] == ["/healthz"]
    expect(message).to_have_text("Wrong token.")
    page.keyboard.type(TOKEN)
    page.keyboard.press("Enter")
    is_live(page)
    expect(page.locator("#lookup-message")).to_have_text("Nothing is known of user 42.")
    expect(message).to_be_empty()


def test_a_killed_worker_is_silent_with_its_partitions_named_then_lost(
    workers: tuple[Worker, Worker], rest: None, visit: Callable[..., tuple[Page, Witness]]
) -> None:
    first, second = workers
    page, _ = visit(first.url("/"))
    is_live(page)
    row = page.locator("#workers > tr", has_text=str(second.port))
    expect(row.locator(".chip")).to_have_text("ready")
    second.kill()
    expect(row.locator(".chip")).to_contain_text("silent since")
    numbers = page.locator("#partitions > li[data-state=silent]")
    expect(numbers).to_have_count(2)
    expect(page.locator("#lag")).to_have_attribute("data-kind", "bad")
    expect(page.locator("#lag-seconds")).to_have_text(re.compile(r"no answer for partitions \d"))
    with picture(page, "dashboard-lost-worker"):
        expect(row.locator(".chip")).to_contain_text("lost", timeout=30_000)
        expect(page.locator("#workers-count")).to_have_text("1 of 2")
        expect(page.locator("#partitions > li[data-state=ready]")).to_have_count(4, timeout=30_000)
    expect(page.locator("#lag")).to_have_attribute("data-kind", "good")
    expect(page.locator("#lag-seconds")).to_have_text("nothing waits")
    # The other worker owns all partitions now.
    owners = page.locator("#partitions .badge").all_text_contents()
    assert len(set(owners)) == 1


def test_a_worker_that_ends_in_order_has_left(
    workers: tuple[Worker, Worker], rest: None, visit: Callable[..., tuple[Page, Witness]]
) -> None:
    first, second = workers
    second.start()
    page, _ = visit(first.url("/"))
    is_live(page)
    chip = page.locator("#workers > tr", has_text=str(second.port)).locator(".chip")
    expect(chip).to_have_text("ready")
    assert second.terminate() == 0
    expect(chip).to_contain_text("left", timeout=30_000)
    expect(page.locator("#partitions > li[data-state=ready]")).to_have_count(4, timeout=30_000)


def test_a_lost_connection_is_shown_and_found_again(
    workers: tuple[Worker, Worker], rest: None, visit: Callable[..., tuple[Page, Witness]]
) -> None:
    first, _ = workers
    first.wait_ready()
    page, _ = visit(first.url("/"))
    is_live(page)
    as_of = page.locator("#as-of")
    first.kill()
    banner = page.locator("#lost")
    with picture(page, "dashboard-lost"):
        expect(banner).to_be_visible()
        expect(banner).to_contain_text("Not live since")
        time_of_figures = as_of.text_content()
        assert time_of_figures is not None
        expect(banner).to_contain_text(time_of_figures)
        expect(page.locator("#state-text")).to_have_text("not live")
        expect(page.locator("body")).to_have_class("stale")
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
    page.locator("#lost-now").click()
    expect(banner).to_be_visible()
    first.start()
    is_live(page)
    expect(banner).to_be_hidden()
    expect(page.locator("body")).not_to_have_class("stale")


def test_when_the_worker_stops_in_order_the_page_says_so(
    workers: tuple[Worker, Worker], rest: None, visit: Callable[..., tuple[Page, Witness]]
) -> None:
    first, _ = workers
    page, _ = visit(first.url("/"))
    is_live(page)
    assert first.terminate() == 0
    expect(page.locator("#lost")).to_be_visible()
