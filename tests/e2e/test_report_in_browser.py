"""The page of a parity run, opened in a real browser: drawn, readable, usable by keyboard, and alone in the world."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from midflight.parity.records import Cause, Kind
from midflight.parity.report import as_html, build
from tests.fixtures.browser import Tab, chromium, program
from tests.fixtures.parity_report import asked, difference, mismatch, record, report

FOUND = program()
pytestmark = [
    pytest.mark.skipif(FOUND is None, reason="no Chromium on this machine: apt-get install chromium"),
    pytest.mark.xdist_group("browser"),
]

OUTSIDE = "http://outside.invalid/pixel.png"
HOSTILE = "</script></style><script>alert(1)</script><img src=x onerror=alert(1)>\"'"

BOXES = """[...document.querySelectorAll('svg.chart')].map(chart => {
  const box = chart.getBoundingClientRect()
  const cut = [...chart.querySelectorAll('text')].filter(text => {
    const inner = text.getBoundingClientRect()
    return inner.left < box.left - 1 || inner.right > box.right + 1
      || inner.top < box.top - 1 || inner.bottom > box.bottom + 1
  }).map(text => text.textContent)
  const shapes = [...chart.querySelectorAll('rect, circle, polygon')]
    .filter(one => one.getBoundingClientRect().width > 0)
  return {name: chart.getAttribute('aria-label'), width: box.width, height: box.height, shapes: shapes.length, cut}
})"""

CONTRAST = """(() => {
  const canvas = document.createElement('canvas').getContext('2d')
  const rgb = colour => { canvas.fillStyle = colour; const hex = canvas.fillStyle
    return [1, 3, 5].map(at => parseInt(hex.slice(at, at + 2), 16) / 255) }
  const linear = part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
  const light = colour => { const [r, g, b] = rgb(colour).map(linear)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b }
  const behind = one => { while (one) { const colour = getComputedStyle(one).backgroundColor
    if (colour !== 'rgba(0, 0, 0, 0)') return colour; one = one.parentElement } return 'white' }
  const texts = [...document.querySelectorAll('h1,h2,h3,p,li,th,td,dt,dd,summary,caption,figcaption,code,span,a')]
  return Math.min(...texts.map(one => {
    const pair = [light(getComputedStyle(one).color), light(behind(one))].sort((a, b) => b - a)
    return (pair[0] + 0.05) / (pair[1] + 0.05) }))
})()"""


@pytest.fixture(scope="module")
async def tab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Tab]:
    assert FOUND is not None
    async with chromium(FOUND, tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.fixture
async def page(tab: Tab, tmp_path: Path) -> Tab:
    """The report, freshly opened at a desk, in the light."""
    await tab.resize(1200, 900)
    await tab.prefer("light")
    return await shown(tab, tmp_path, as_html.render(report()))


async def shown(tab: Tab, folder: Path, text: str) -> Tab:
    (folder / "report.html").write_text(text, encoding="utf-8")
    await tab.open(folder / "report.html")
    return tab


async def texts(tab: Tab, selector: str) -> list[str]:
    return list(await tab.say(f"[...document.querySelectorAll({selector!r})].map(one => one.innerText.trim())"))


async def test_the_verdict_and_what_to_do_are_on_the_first_screen(page: Tab) -> None:
    assert await texts(page, "h1") == ["Fail"]
    assert await texts(page, ".headline") == ["84 keys differ, and nothing that is on its way can change that."]
    assert (await texts(page, ".steps li"))[0].startswith("Lost update, 41 keys: A change never reached the target.")
    assert await page.say("document.querySelector('.steps li').getBoundingClientRect().bottom < innerHeight")


async def test_every_group_is_there_with_its_samples(page: Tab) -> None:
    groups = report().groups
    assert await page.say("[...document.querySelectorAll('.group')].every(one => one.offsetHeight > 50)")
    assert len(await texts(page, ".group > summary")) == len(groups)
    assert len(await texts(page, ".group tbody tr")) == sum(len(one.samples) for one in groups)
    first = (await texts(page, ".group tbody tr"))[0].split("\t")
    assert first[:5] == ['"m-00000"', "balance", "integer", "integer", "settled"]


async def test_every_chart_is_drawn_and_no_label_is_cut(page: Tab) -> None:
    charts = await page.say(BOXES)
    names = ["Progress by entity", "Mismatches by field and cause", "Age of mismatches", "History of runs"]
    assert [one["name"] for one in charts] == names
    for one in charts:
        assert one["width"] > 400
        assert one["height"] > 100
        assert one["shapes"] >= 4
        assert one["cut"] == []


async def test_the_style_sheet_is_let_in_and_colours_the_charts(page: Tab) -> None:
    fill = "getComputedStyle(document.querySelector('.chart .s-{}')).fill"
    assert await page.say(fill.format("settled")) == "rgb(180, 35, 24)"
    assert await page.say(fill.format("equal")) == "rgb(127, 181, 155)"


async def test_behind_every_chart_is_its_table(page: Tab) -> None:
    tables = "[...document.querySelectorAll('figure')].map(one => one.querySelectorAll('details tbody tr').length)"
    assert await page.say(tables) == [4, 9, 6, 15]
    await page.say("document.querySelectorAll('figure details').forEach(one => one.open = true)")
    assert "1 to 10 min\t58\t0\t2" in await texts(page, "figure tbody tr")


async def test_nothing_is_fetched_and_nothing_is_complained_of(page: Tab) -> None:
    (alone,) = page.requested()
    assert alone.startswith("file://")
    assert page.told("Log.entryAdded") == []
    assert page.told("Runtime.exceptionThrown") == []


async def test_a_page_that_does_fetch_would_be_seen(tab: Tab, tmp_path: Path) -> None:
    await shown(tab, tmp_path, f"<!doctype html><img src='{OUTSIDE}'>")
    assert OUTSIDE in tab.requested()


async def test_the_pages_policy_stops_even_what_would_slip_in(tab: Tab, tmp_path: Path) -> None:
    slipped = f"<main><img src='{OUTSIDE}'><script>document.title = 'broken in'</script>"
    await shown(tab, tmp_path, as_html.render(report()).replace("<main>", slipped))
    stopped = [one["requestId"] for one in tab.told("Network.loadingFailed") if one.get("blockedReason") == "csp"]
    sent = [one["requestId"] for one in tab.told("Network.requestWillBeSent") if one["request"]["url"] == OUTSIDE]
    assert set(sent) <= set(stopped)
    assert (await tab.say("document.title")).startswith("FAIL")
    assert len(tab.told("Log.entryAdded")) >= 2


async def test_hostile_names_and_keys_stay_text(tab: Tab, tmp_path: Path) -> None:
    field = difference(HOSTILE, Kind.VALUE, HOSTILE, "x")
    made = build(record(run=HOSTILE), [mismatch(HOSTILE, HOSTILE, Cause.UNKNOWN, field)], [], asked())
    await shown(tab, tmp_path, as_html.render(made))
    assert await tab.say("document.querySelectorAll('script, img').length") == 0
    assert tab.told("Page.javascriptDialogOpening") == []
    assert (await texts(tab, ".group > summary"))[0].startswith(f"{HOSTILE}: {HOSTILE}")


async def test_the_keyboard_reaches_everything(page: Tab) -> None:
    await page.press("Tab")
    assert await page.say("document.activeElement.className") == "skip"
    await page.press("Enter")
    assert await page.say("location.hash") == "#mismatches"
    await page.press("Tab")
    assert await page.say("document.activeElement.matches('.group > summary')")
    assert await page.say("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert await page.say("document.activeElement.parentElement.open")
    await page.press("Enter")
    assert not await page.say("document.activeElement.parentElement.open")


@pytest.mark.parametrize(("scheme", "paper"), [("light", "rgb(247, 247, 244)"), ("dark", "rgb(19, 22, 27)")])
async def test_light_and_dark_can_both_be_read(page: Tab, scheme: str, paper: str) -> None:
    await page.prefer(scheme)
    assert await page.say("getComputedStyle(document.body).backgroundColor") == paper
    assert await page.say(CONTRAST) >= 4.5


async def test_the_page_fits_a_narrow_screen(page: Tab) -> None:
    await page.resize(360, 800)
    assert await page.say("document.documentElement.scrollWidth") <= 360


async def test_a_picture_can_be_taken(page: Tab) -> None:
    taken = await page.picture()
    assert taken.startswith(b"\x89PNG")
    assert len(taken) > 20_000
