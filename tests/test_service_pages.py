"""The pages in a real browser: the whole way from pictures to a prediction, looked at, and by the keyboard alone.

Screenshots go to the folder that METAD2A_SCREENSHOTS names.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from service_process import Processes
from service_world import pictures, png, zipped

from metad2a.service import jobs
from metad2a.service.tables import open_database

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SIZES = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}


def archive(shared: Path) -> bytes:
    """Real images: flowers where the development data are there, else handwritten digits."""
    source = shared / "images" / "flowers5_64px.npz"
    files = {}
    if source.is_file():
        with np.load(source) as data:
            labels, ends, names, blobs = data["labels"], data["ends"], data["names"], data["blobs"].tobytes()
        for label, name in enumerate(names):
            for index in np.flatnonzero(labels == label)[:40]:
                files[f"flowers/{name}/{index}.jpg"] = blobs[ends[index - 1] if index else 0 : ends[index]]
    else:
        from sklearn.datasets import load_digits

        digits = load_digits()
        for index in np.flatnonzero(digits.target < 5)[:200]:
            pixels = np.repeat(np.repeat(np.rint(digits.images[index] * 15.9), 4, 0), 4, 1).astype(np.uint8)
            files[f"digits/{digits.target[index]}/{index}.png"] = png(pixels)
    return zipped(files)


@pytest.fixture(name="service", scope="module")
def service_fixture(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Processes]:
    """Begun where there is a browser to look at its pages; each test brings a dataset of its own."""
    with Processes(tmp_path_factory.mktemp("service"), onnx=False) as service:
        service.serve()
        yield service


@pytest.fixture(name="browser", scope="module")
def browser_fixture() -> Iterator[Browser]:
    if CHROMIUM is None:
        if os.environ.get("CI"):
            pytest.fail("chromium is missing: `apt-get install chromium`")
        pytest.skip("needs chromium: `apt-get install chromium`")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(name="page")
def page_fixture(browser: Browser) -> Iterator[Page]:
    """A page of a browser, which must have nothing to complain of."""
    complaints: list[str] = []
    page = browser.new_page(viewport=SIZES["desktop"])  # type: ignore[arg-type]
    page.set_default_timeout(120_000)
    page.on("console", lambda said: complaints.append(said.text) if complains(said) else None)
    page.on("pageerror", lambda problem: complaints.append(str(problem)))
    yield page
    page.close()
    assert complaints == []


def complains(said: Any) -> bool:
    """Whether a line of the console is a complaint; a refusal (422) that the page asked for and shows is none."""
    return said.type in ("error", "warning") and "status of 422" not in said.text


def evaluated(page: Page, *expressions: str) -> Any:
    """The value of the last one of these; begun again where a page is read anew meanwhile: that of a job that ends."""
    from playwright.sync_api import Error

    for _ in range(5):
        try:
            return [page.evaluate(each) for each in expressions][-1]
        except Error as problem:
            told = str(problem)
            page.wait_for_load_state()
    raise AssertionError(f"the page does not come to rest: {told}")


def violations(page: Page, script: str) -> Any:
    """What axe finds; it is given to a page once, since that takes as long as half a look."""
    given = f"if (typeof axe === 'undefined') {{\n{script}\n}}"
    return evaluated(page, given, "axe.run({resultTypes: ['violations']}).then(told => told.violations)")


def looked_at(page: Page, name: str) -> None:
    """The page in both sizes and lights: nothing hangs over, nothing serious for readers of screens, a picture each."""
    from axe_playwright_python.sync_playwright import Axe

    folder, script = os.environ.get("METAD2A_SCREENSHOTS"), Axe().axe_script
    looks = [("desktop", "dark"), ("phone", "light")]  # each size and each light once; pictures are of all
    for size, light in product(SIZES, ("light", "dark")) if folder else looks:
        page.set_viewport_size(SIZES[size])  # type: ignore[arg-type]
        page.emulate_media(color_scheme=light)  # type: ignore[arg-type]
        page.wait_for_timeout(150)
        wide = evaluated(page, "document.documentElement.scrollWidth")
        assert wide <= SIZES[size]["width"], f"{name} is {wide} px wide on a {size}"
        if (size, light) in looks:
            found = violations(page, script)
            grave = [each for each in found if each["impact"] in ("serious", "critical")]
            told = [(each["id"], each["nodes"][0]["target"]) for each in grave]
            assert told == [], f"{name}, {size}, {light}"
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            page.screenshot(path=Path(folder) / f"{name}-{size}-{light}.png", full_page=True)
    page.set_viewport_size(SIZES["desktop"])  # type: ignore[arg-type]
    page.emulate_media(color_scheme="light")


# long, since it is one visit, page after page
def test_the_whole_way_on_the_pages(tmp_path: Path, page: Page, service: Processes) -> None:
    named = os.environ.get("METAD2A_SHARED")
    content = archive(Path(named) if named else Path(__file__).parents[1].parent / "shared" / "data")
    (tmp_path / "pictures.zip").write_bytes(content)
    page.goto(service.address)
    page.select_option("#upload [name=groups]", "none")
    page.set_input_files("#upload [name=file]", tmp_path / "pictures.zip")
    page.wait_for_url("**/datasets/*")
    assert [each["groups"] for each in service.ask("/v1/datasets")["items"]] == ["none"]
    page.wait_for_selector("table.ranked")
    assert page.locator(".classes > li").count() == 5
    listed = page.locator("table.ranked tbody tr").count()
    assert page.locator(".plot .ranked").count() == listed >= 4
    for mark in ("best", "knee", "equal"):
        assert page.locator(f"table.ranked .mark-{mark}").count() == 1
    looked_at(page, "dataset")
    if folder := os.environ.get("METAD2A_SCREENSHOTS"):  # the README's picture
        box: Any = page.locator("section[aria-labelledby=fits]").bounding_box()
        width, height = box["width"] + 48, box["height"] + 48
        clip: Any = {"x": box["x"] - 24, "y": box["y"] - 24, "width": width, "height": height}
        page.screenshot(path=Path(folder) / "page.png", full_page=True, clip=clip)
    page.goto(service.address)
    looked_at(page, "start")
    page.locator(".card").click()
    within_limits(page)
    page.fill("#train ~ form [name=minutes] >> nth=0", "0.12")
    page.get_by_role("button", name="Find it").click()
    page.wait_for_selector("#lines li")
    looked_at(page, "job-running")
    page.get_by_role("link", name="See the winner").click()
    page.wait_for_selector(".confusion")
    assert page.locator(".plot .ranked").count() == page.locator("#all ~ .scroll tbody tr").count() >= 1
    picture = tmp_path / "own.png"
    picture.write_bytes(png(np.full((40, 40, 3), 120, dtype=np.uint8)))
    page.set_input_files("#predict input", picture)
    page.wait_for_selector(".prediction strong")
    looked_at(page, "model")
    page.go_back()
    page.get_by_role("link", name="pictures").first.click()
    page.get_by_text("Cells to train from scratch").click()
    page.wait_for_selector(".more table.ranked .drawing")
    looked_at(page, "cells")
    page.fill("[name=count]", "1")
    page.select_option(".more [method=post] [name=recipe]", "tiny")
    page.get_by_role("button", name="Train", exact=True).click()
    page.wait_for_selector("#plot .curve")
    looked_at(page, "job-of-networks")
    for name in ("jobs", "models", "records", "sign-in"):
        page.goto(f"{service.address}/{name}")
        looked_at(page, name)


def within_limits(page: Page) -> None:
    """Limits in the form of what fits: an impossible one is told in one line, a possible one is kept in both forms."""
    page.get_by_text("Limits").first.click()
    page.locator("[name=max_params]").first.fill("10")
    page.keyboard.press("Enter")
    told = page.locator("[data-part] .problem").first.inner_text()
    assert told.startswith("no candidate has at most 10 parameters: the smallest has") and "\n" not in told
    looked_at(page, "limits-impossible")
    page.locator("[name=max_params]").first.fill("700k")
    page.get_by_role("button", name="Show").first.click()
    page.wait_for_selector("table.ranked")
    assert [each.input_value() for each in page.locator("[name=max_params]").all()] == ["700k", "700k", ""]
    looked_at(page, "limits")


def test_the_pages_work_by_the_keyboard_alone(page: Page, service: Processes) -> None:
    from sklearn.datasets import load_digits

    digits = load_digits()
    chosen = np.flatnonzero(digits.target < 2)[:40]
    files = {f"set/{digits.target[i]}/{i}.png": png((digits.images[i] * 15).astype(np.uint8)) for i in chosen}
    service.send(zipped(files))
    page.goto(service.address)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.keyboard.press("Enter")
    tab_to(page, "document.activeElement.matches('.card')")
    page.keyboard.press("Enter")
    page.wait_for_selector("table.ranked")
    tab_to(page, "document.activeElement.tagName === 'SUMMARY' && document.activeElement.textContent === 'Limits'")
    page.keyboard.press("Enter")
    tab_to(page, "document.activeElement.name === 'max_params'")
    tab_to(page, "document.activeElement.textContent === 'Cells to train from scratch'")
    page.keyboard.press("Enter")
    tab_to(page, "document.activeElement.name === 'count'")
    page.keyboard.press("Control+a")
    page.keyboard.type("1")
    page.keyboard.press("Enter")
    page.wait_for_url("**/jobs/*")
    tab_to(page, "document.activeElement.textContent === 'Cancel this job'")
    page.keyboard.press("Enter")
    page.wait_for_selector(".state.cancelled")


def test_curves_of_a_search_grow_on_its_page(tmp_path: Path, page: Page) -> None:
    database = str(tmp_path / "database.db")
    with Processes(tmp_path) as service:
        service.serve("--no-worker")
        dataset = service.send(zipped(pictures()))
        job = service.ask("/v1/searches", {"dataset": dataset, "seconds": 60})["id"]
        page.goto(f"{service.address}/jobs/{job}")
        assert page.get_by_text("Training loss").is_hidden()
        shares = {"first": (0.1, 0.5, 1.0), "second": (0.2, 0.6), "first again": (0.3, 0.9)}
        for number, (name, curve) in enumerate(shares.items()):
            for share in curve:
                point = {"title": name.split()[0], "progress": share, "loss": 1 / (1 + share), "text": name}
                jobs.tell(open_database(database), job, "curve", {**point, "seconds": 10.0 * number + share})
        page.wait_for_selector("#plot .curve >> nth=2")
        assert page.locator("#names li").all_inner_texts() == ["first", "second", "first"]
        assert page.locator("#now").inner_text() == "first again" and "s left" in page.locator("#left").inner_text()
        looked_at(page, "job-curves")
        service.ask(f"/v1/jobs/{job}", method="DELETE")
        page.wait_for_selector(".state.cancelled")
        page.goto("about:blank")  # what still asks the service must not do so when it has ended


def tab_to(page: Page, condition: str) -> None:
    """Presses Tab until the focus is where it should be, and can be seen."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate(condition):
            assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
            return
    raise AssertionError(f"Tab never came to {condition}")
