"""Every kind of page in a real browser: accessible, quiet, and what its controls do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from recorded_profiles import a_profile
from report_runs import demo_run, sample, write_run, wrong
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.ui import WebDriverWait

from evals.compare import ablate, compare_runs
from evals.gate import Margins, create_baseline, judge, open_baseline
from evals.leaderboard import build_board
from evals.store import Run, open_run
from reports.compare_report import build_comparison
from reports.gate_report import build_gate
from reports.leaderboard_report import build_leaderboard
from reports.profile_report import build_profile_report
from reports.run_report import build_report
from reports.serve import Server, comparison_site, run_site
from tools.browser import show

PAGES = ("run", "comparison", "ablation", "leaderboard", "gate", "profile", "serve")


def runs_of(folder: Path) -> list[Run]:
    def rows(right: int) -> list[Any]:
        return [sample(i, cluster=f"c{i}") if i < right else wrong(i) for i in range(60)]

    return [
        write_run(folder / name, {"t": rows(n), "u": rows(n)}, model=name, run_id=name)
        for name, n in (("one-1b", 55), ("two-3b", 30))
    ]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The address of a page of each kind."""
    folder = tmp_path_factory.mktemp("all-pages")
    one, two = runs = runs_of(folder)
    demo = demo_run(folder / "demo", count=60)
    for step, run in enumerate(runs):
        run.manifest["identity"]["model"]["step"] = 1000 * (step + 1)
        run.write_manifest(run.manifest)
    runs = [open_run(run.path) for run in runs]
    found = compare_runs(runs)
    create_baseline([one], folder / "base", "main", margins=Margins(), single_reason="a fixture")
    baseline = open_baseline(folder / "base")
    files = {
        "run": build_report(demo).html,
        "comparison": build_comparison(runs, found, folder / "comparison").html,
        "ablation": build_comparison(runs, found, folder / "ablation", ablate(runs)).html,
        "leaderboard": build_leaderboard(build_board(runs), folder, runs),
        "gate": build_gate(judge(baseline, two), folder / "gate", baseline.run, two),
        "profile": build_profile_report(a_profile(folder / "profile")),
    }
    with Server(run_site(demo)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield {name: path.as_uri() for name, path in files.items()} | {"serve": server.address}
        server.shutdown()
        thread.join()


def ready(driver: WebDriver) -> None:
    """Wait for the sample browser's first sample; on a page without samples, for the script that comes last."""
    sample = "document.querySelector('#browser') ? '.detail h3' : '#theme:not([hidden])'"
    script = f"return document.querySelector({sample}) !== null"
    WebDriverWait(driver, 20).until(lambda d: d.execute_script(script))


def texts(driver: WebDriver, selector: str) -> list[str]:
    """All texts at once, empty where hidden: asked one by one, an element may be replaced by the page in between."""
    text = "element => element.checkVisibility() ? element.innerText.trim() : ''"
    script = f"return [...document.querySelectorAll(arguments[0])].map({text})"
    return cast("list[str]", driver.execute_script(script, selector))


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("page", PAGES)
def test_axe_finds_no_serious_violation(
    browser: WebDriver, pages: dict[str, str], axe: str, page: str, theme: str
) -> None:
    browser.execute_cdp_cmd("Page.setBypassCSP", {"enabled": True})
    try:
        show(browser, pages[page], width=1440)
        ready(browser)
        browser.execute_script(f"document.documentElement.dataset.theme = '{theme}'")
        browser.execute_script("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
        browser.execute_script(axe)
        found = browser.execute_async_script("axe.run().then(arguments[0])")
    finally:
        browser.execute_cdp_cmd("Page.setBypassCSP", {"enabled": False})
    serious = [v for v in found["violations"] if v["impact"] in ("serious", "critical")]
    assert [(v["id"], v["nodes"][0]["html"]) for v in serious] == []


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_quiet_and_never_scrolls_sideways(
    browser: WebDriver, pages: dict[str, str], page: str, width: int
) -> None:
    browser.get_log("browser")
    show(browser, pages[page], width=width)
    ready(browser)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.get_log("browser") == []  # a violated policy is an error of the console
    fetched = browser.execute_script("return performance.getEntriesByType('resource').map((e) => e.name)")
    assert all(page == "serve" and address.startswith(pages["serve"]) for address in fetched)


def test_names_of_any_kind_are_inert_and_stay_within_a_telephone(browser: WebDriver, tmp_path: Path) -> None:
    long, evil = "W" * 300, "<img src=x onerror=\"document.title='owned'\">"
    names = [long, evil, "\u202eright to left", "</script><script>document.title='owned'</script>"]
    rows = [replace(sample(i), categories={long: names[i % 4], evil: long}) for i in range(24)]
    runs = [
        write_run(
            tmp_path / str(i), {"t": rows}, changes={"t": {"title": f"{evil} {long}"}}, model=name, run_id=f"r{i}"
        )
        for i, name in enumerate(names)
    ]
    files = [
        build_report(runs[0]).html,
        build_comparison(runs, compare_runs(runs), tmp_path / "comparison").html,
        build_leaderboard(build_board(runs), tmp_path, runs),
    ]
    for file in files:
        browser.get_log("browser")
        show(browser, file.as_uri(), width=390)
        ready(browser)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 390, file
        assert browser.title != "owned"
        assert browser.execute_script("return document.querySelectorAll('img[src=x]').length") == 0
        assert browser.get_log("browser") == []


def test_a_view_of_the_leaderboard_can_be_shared_by_its_address(browser: WebDriver, pages: dict[str, str]) -> None:
    show(browser, pages["leaderboard"], width=1440)
    ready(browser)
    browser.find_element(By.CSS_SELECTOR, ".board-controls input[type=search]").send_keys("two")
    boxes = {label.text: label for label in browser.find_elements(By.CSS_SELECTOR, ".board-controls fieldset label")}
    boxes["efficiency"].find_element(By.TAG_NAME, "input").click()
    browser.find_element(By.CSS_SELECTOR, "#board thead th button").click()
    address = browser.current_url
    for part in ("q=two", "hide=efficiency", "sort=0.0.ascending"):
        assert part in address
    show(browser, address, width=1440)
    ready(browser)
    assert [text.split()[0] for text in texts(browser, "#board tbody tr") if text] == ["two-3b"]
    assert "Hardware" not in texts(browser, "#board thead th")
    assert browser.find_element(By.CSS_SELECTOR, "#board thead th").get_attribute("aria-sort") == "ascending"


def test_the_leaderboard_filters_by_family_and_keeps_the_view_while_samples_are_read(
    browser: WebDriver, pages: dict[str, str]
) -> None:
    show(browser, pages["leaderboard"] + "#v?family=one", width=1440)
    ready(browser)
    assert [text.split()[0] for text in texts(browser, "#board tbody tr") if text] == ["one-1b"]
    browser.find_elements(By.CSS_SELECTOR, ".detail-head button")[1].click()
    assert "family=one" in browser.current_url
    assert "s=t%2F" in browser.current_url


def test_a_comparison_begins_with_what_got_worse_and_marks_the_words_that_differ(
    browser: WebDriver, pages: dict[str, str]
) -> None:
    show(browser, pages["comparison"], width=1440)
    ready(browser)
    assert browser.find_element(By.CSS_SELECTOR, ".states [aria-pressed=true]").get_attribute("value") == "regressed"
    assert texts(browser, ".answer h4") == ["A: one-1b", "B: two-3b"]
    assert len(set(texts(browser, ".answer mark"))) == 2


def test_a_gate_shows_the_candidates_answers_beside_the_baselines_scores(
    browser: WebDriver, pages: dict[str, str]
) -> None:
    show(browser, pages["gate"], width=1440)
    ready(browser)
    first, second = texts(browser, ".answer")
    assert "kept its scores, not its answers" in first
    assert "right" in first
    assert "wrong" in second
    assert "disagree" not in " ".join(texts(browser, ".states button"))


def test_served_samples_are_filtered_searched_stepped_and_linked(browser: WebDriver, pages: dict[str, str]) -> None:
    show(browser, pages["serve"], width=1440)
    ready(browser)
    browser.find_element(By.CSS_SELECTOR, ".states button[value='partly right']").click()
    browser.find_element(By.CSS_SELECTOR, ".controls input").send_keys("boats")
    WebDriverWait(browser, 10).until(lambda d: set(texts(d, ".sample-list .gist")) == {"a harbour with boats"})
    before = texts(browser, ".detail h3")
    browser.find_elements(By.CSS_SELECTOR, ".detail-head button")[1].click()
    WebDriverWait(browser, 10).until(lambda d: texts(d, ".detail h3") != before)
    image = browser.find_element(By.CSS_SELECTOR, ".pictures img")
    WebDriverWait(browser, 10).until(lambda d: d.execute_script("return arguments[0].naturalWidth", image) > 0)
    address, shown = browser.current_url, texts(browser, ".detail h3")
    show(browser, address, width=1440)
    ready(browser)
    assert texts(browser, ".detail h3") == shown


def test_a_served_link_to_an_unknown_sample_says_so(browser: WebDriver, pages: dict[str, str]) -> None:
    show(browser, pages["serve"] + "#s=words_ocr/nobody", width=1440)
    WebDriverWait(browser, 10).until(lambda d: "has no sample nobody" in texts(d, "main")[0])


def test_a_served_comparison_shows_a_sample_that_only_the_second_run_has(browser: WebDriver, tmp_path: Path) -> None:
    rows = [sample(i, cluster=f"c{i}") for i in range(30)]
    sides = {"first": rows, "second": [*rows, sample(77, prediction="Only here")]}
    runs = [write_run(tmp_path / name, {"t": found}, model=name, run_id=name) for name, found in sides.items()]
    with Server(comparison_site(runs, compare_runs(runs))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            show(browser, f"{server.address}#s=t/q00077", width=1440)
            ready(browser)
            first, second = texts(browser, ".answer")
            assert "Only here" in second
            assert "Only here" not in first
        finally:
            server.shutdown()
            thread.join()
