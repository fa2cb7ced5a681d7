"""The pages in a real browser: headless Chromium through Selenium, which must both be installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
from report_runs import demo_run
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.ui import WebDriverWait

from reports.run_report import build_report

Opened = Callable[..., WebDriver]


@pytest.fixture(scope="module")
def run_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return build_report(demo_run(tmp_path_factory.mktemp("pages") / "run")).html.as_uri()


@pytest.fixture
def opened(browser: WebDriver, run_page: str) -> Iterator[Opened]:
    """Opens the run's page afresh; afterwards the console must be clean and nothing may have been fetched."""

    def open_page(fragment: str = "", width: int = 1440) -> WebDriver:
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        browser.get("about:blank")
        browser.get(run_page + fragment)
        return browser

    yield open_page
    assert browser.get_log("browser") == []
    assert browser.execute_script("return performance.getEntriesByType('resource').map((e) => e.name)") == []


def texts(driver: WebDriver, selector: str) -> list[str]:
    """All texts at once, empty where hidden: asked one by one, an element may be replaced by the page in between."""
    text = "element => element.checkVisibility() ? element.innerText.trim() : ''"
    script = f"return [...document.querySelectorAll(arguments[0])].map({text})"
    return cast("list[str]", driver.execute_script(script, selector))


def heading(driver: WebDriver) -> str:
    return texts(driver, ".detail h3")[0]


def press_filter(driver: WebDriver, name: str) -> None:
    driver.find_element(By.CSS_SELECTOR, f".states button[value='{name}']").click()


def test_a_table_is_sorted_by_its_heads_and_says_so(opened: Opened) -> None:
    driver = opened()
    head = driver.find_elements(By.CSS_SELECTOR, "#scores thead th")[1]
    head.find_element(By.TAG_NAME, "button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert texts(driver, "#scores tbody tr td:nth-child(2)") == ["84", "80", "50"]
    head.find_element(By.TAG_NAME, "button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert texts(driver, "#scores tbody tr td:nth-child(2)") == ["50", "80", "84"]
    assert texts(driver, "#scores tfoot th") == ["Macro average"]


def test_unknown_values_stay_last_whichever_way_a_table_is_sorted(opened: Opened) -> None:
    driver = opened()
    heads = driver.find_elements(By.CSS_SELECTOR, "#scores thead th button")
    chance = next(index for index, head in enumerate(heads) if head.text == "Chance")
    for _ in range(2):
        heads[chance].click()
        assert texts(driver, f"#scores tbody tr td:nth-child({chance + 1})") == ["50", "–", "–"]


@pytest.mark.parametrize(("name", "state"), [("wrong", "✗"), ("errors", "!"), ("unparsed", "?"), ("partly right", "◐")])
def test_a_filter_shows_its_samples_only(opened: Opened, name: str, state: str) -> None:
    driver = opened()
    press_filter(driver, name)
    signs = set(texts(driver, ".sample-list .state"))
    assert state in signs
    assert signs <= ({"✗", "?"} if name == "wrong" else {state})


def test_search_and_category_narrow_the_list(opened: Opened) -> None:
    driver = opened()
    driver.find_element(By.CSS_SELECTOR, ".controls input").send_keys("BOATS")
    WebDriverWait(driver, 5).until(lambda d: "80" in texts(d, ".pager span")[0])
    assert set(texts(driver, ".sample-list .gist")) == {"a harbour with boats"}
    options = driver.find_elements(By.CSS_SELECTOR, ".controls select")[1].find_elements(By.TAG_NAME, "option")
    next(option for option in options if option.text.startswith("length: 4")).click()
    assert driver.find_element(By.CSS_SELECTOR, ".pager span").text == "1 to 16 of 16"


def test_keys_step_through_samples_across_pages_of_the_list(opened: Opened) -> None:
    driver = opened("#s=shapes_presence/q00048")
    driver.find_element(By.CSS_SELECTOR, ".sample-list a[aria-current]").click()
    driver.switch_to.active_element.send_keys(Keys.ARROW_DOWN)
    assert heading(driver).endswith("q00049")
    driver.find_element(By.CSS_SELECTOR, ".detail-head button").send_keys("j")
    assert heading(driver).endswith("q00050")
    assert driver.find_element(By.CSS_SELECTOR, ".pager span").text.startswith("51 to 100")
    assert driver.current_url.endswith("#s=shapes_presence/q00050")


def test_a_link_opens_its_sample(opened: Opened) -> None:
    driver = opened("#s=words_ocr/q00004")
    assert heading(driver) == "Words, 单词 · q00004"
    block = driver.find_element(By.CSS_SELECTOR, ".detail .text")
    assert block.text == "图片里写的是什么?"
    assert block.get_attribute("lang") == "zh"


def test_a_link_to_an_unknown_sample_says_so(opened: Opened) -> None:
    driver = opened("#s=words_ocr/nobody")
    assert "This file has no sample nobody" in driver.find_element(By.CSS_SELECTOR, ".detail").text


def test_hostile_answers_are_inert_and_their_hidden_characters_are_named(opened: Opened) -> None:
    driver = opened("#s=shapes_caption/q00000")
    title = driver.title
    shown = []
    for _ in range(13):
        shown.append(driver.find_element(By.CSS_SELECTOR, ".answer .text").text)
        driver.find_elements(By.CSS_SELECTOR, ".detail-head button")[1].click()
    assert driver.title == title == "omnilmm-small (final), evaluation report"
    assert shown[0] == "</script><script>document.title='owned'</script>"
    assert shown[3].startswith("safe U+202Etxt.exe")
    assert "U+200B" in shown[4]
    assert "996,000 more characters" in shown[8]
    assert not driver.find_elements(By.CSS_SELECTOR, ".detail img[onerror]")


def test_arabic_reads_from_right_to_left(opened: Opened) -> None:
    driver = opened("#s=shapes_caption/q00010")
    block = driver.find_element(By.CSS_SELECTOR, ".answer .text")
    assert block.value_of_css_property("direction") == "rtl"
    assert block.get_attribute("lang") == "ar"


def test_the_theme_button_changes_the_page_and_its_figures(opened: Opened) -> None:
    driver = opened()
    driver.execute_script("localStorage.clear(); delete document.documentElement.dataset.theme")

    def colours() -> list[Any]:
        label = "getComputedStyle(document.querySelector('.plot text')).fill"
        return list(driver.execute_script(f"return [getComputedStyle(document.body).backgroundColor, {label}]"))

    before = colours()
    driver.find_element(By.ID, "theme").click()
    after = colours()
    assert all(one != two for one, two in zip(before, after, strict=True))
    driver.find_element(By.ID, "theme").click()
    assert colours() == before


@pytest.mark.parametrize("width", [1440, 768, 390, 320])
def test_the_page_never_scrolls_sideways(opened: Opened, width: int) -> None:
    driver = opened(width=width)
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width


def test_the_command_can_be_copied(opened: Opened) -> None:
    driver = opened()
    button = driver.find_element(By.CSS_SELECTOR, "#identity .copy-row button")
    driver.execute_script("arguments[0].scrollIntoView()", button)
    button.click()
    WebDriverWait(driver, 5).until(lambda _: button.text in ("Copied", "Select the text and copy it"))


def test_all_tables_can_be_read_without_javascript(browser: WebDriver, run_page: str) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get("about:blank")
        browser.get(run_page)
        assert "84" in texts(browser, "#scores tbody td")
        assert "The sample browser needs JavaScript" in browser.find_element(By.TAG_NAME, "body").text
        assert texts(browser, "noscript caption") == ["Failed, unparsed and wrong answers, the first 20"]
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_a_filtered_list_can_be_shared_by_its_address(opened: Opened) -> None:
    driver = opened()
    press_filter(driver, "partly right")
    driver.find_element(By.CSS_SELECTOR, ".controls input").send_keys("boats")
    WebDriverWait(driver, 5).until(lambda d: "x=boats" in d.current_url)
    address, shown = driver.current_url, heading(driver)
    driver = opened(address[address.index("#") :])
    WebDriverWait(driver, 5).until(lambda d: d.find_elements(By.CSS_SELECTOR, ".detail h3"))
    assert heading(driver) == shown
    assert driver.find_element(By.CSS_SELECTOR, ".states [aria-pressed=true]").get_attribute("value") == "partly right"
    assert driver.find_element(By.CSS_SELECTOR, ".controls input").get_attribute("value") == "boats"
    assert set(texts(driver, ".sample-list .gist")) == {"a harbour with boats"}


@pytest.mark.parametrize(
    "fragment", ["#v?f=nonsense&c=%7B&t=nobody", "#s=%E0%A4%A", "#v?s=%25E0%25A4%25A/x", "#%E0%A4%A", "#s="]
)
def test_a_fragment_of_somebodys_making_breaks_nothing(opened: Opened, fragment: str) -> None:
    driver = opened(fragment)
    assert driver.find_element(By.CSS_SELECTOR, ".controls .states button").is_displayed()
