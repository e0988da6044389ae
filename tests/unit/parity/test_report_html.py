"""The page: well-formed, of one piece, escaped everywhere, and readable without sight of its charts."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from midflight.core.plan import Ignored, ParityRules
from midflight.parity.records import Cause, EntityCounts, FieldCensus, Kind, LevelOutcome, Verdict
from midflight.parity.report import as_html, build
from midflight.parity.report.charts import percent, short
from midflight.parity.report.markup import Markup, join, tag
from tests.fixtures.parity_report import asked, clean, difference, history, mismatch, record, report

HOSTILE = "</script><img src=x onerror=alert(1)>\"'&{{x}}\x1b\u202e"
VOID = {"meta", "br"}
HEADINGS = {"h1", "h2", "h3", "h4", "h5", "h6"}


class Page(HTMLParser):
    """Elements with their attributes and text; wrongly nested tags are an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs)
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and data.strip():
            self.texts.append((self._open[-1], data))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def values(self, name: str) -> list[str]:
        return [value for _, attributes in self.elements if (value := attributes.get(name))]

    def said(self, tag: str) -> list[str]:
        return [text for name, text in self.texts if name == tag]


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(as_html.render(report()))


def test_the_verdict_is_the_heading_and_the_first_thing_to_do_follows(page: Page) -> None:
    assert page.said("h1") == ["Fail"]
    assert page.said("title")[0] == "FAIL: loyalty, run nightly-2026-11-21"
    assert page.said("h2")[:3] == ["What to do next", "At a glance", "Mismatches by cause"]
    assert page.said("h3")[:2] == ["Lost update", "Mapping bug"]


def test_nothing_is_of_the_outside(page: Page) -> None:
    assert {name for name, _ in page.elements} & {"script", "link", "img", "iframe", "object", "base", "form"} == set()
    assert page.values("src") == page.values("action") == page.values("style") == []
    assert [link for link in page.values("href") if not link.startswith("#")] == []
    assert "://" not in as_html.render(report())
    assert "url(" not in as_html.render(report())
    assert "@import" not in as_html.render(report())


def test_the_page_forbids_everything_but_its_own_sheet() -> None:
    rendered = as_html.render(report())
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', rendered)
    (sheet,) = re.findall(r"<style>(.*?)</style>", rendered, re.S)
    digest = b64encode(sha256(sheet.encode()).digest()).decode()
    assert policy.startswith("default-src &#x27;none&#x27;;")
    assert f"sha256-{digest}" in policy
    assert "unsafe" not in policy


def test_every_link_leads_somewhere_and_every_id_is_one(page: Page) -> None:
    ids = page.values("id")
    assert len(ids) == len(set(ids))
    assert {link.removeprefix("#") for link in page.values("href")} <= set(ids)
    assert set(page.values("aria-labelledby")) <= set(ids)


def test_every_chart_is_named_and_has_a_table_beside_it() -> None:
    figures = re.findall(r"<figure.*?</figure>", as_html.render(report()), re.S)
    assert len(figures) == 4
    for figure in figures:
        assert re.search(r'<svg [^>]*role="img" aria-label="[^"]+"', figure)
        assert figure.count("<table>") == 1
        assert "as a table</summary>" in figure


def test_no_heading_is_skipped(page: Page) -> None:
    levels = [int(name[1]) for name, _ in page.elements if name in HEADINGS]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_the_page_says_its_language_and_follows_the_readers_light(page: Page) -> None:
    assert page.all("html")[0]["lang"] == "en"
    rendered = as_html.render(report())
    assert "prefers-color-scheme: dark" in rendered
    assert ":focus-visible" in rendered


def test_everything_is_escaped_wherever_it_stands() -> None:
    field = difference(f"{HOSTILE}.1", Kind.VALUE, HOSTILE, "x")
    hostile = [mismatch(HOSTILE, HOSTILE, Cause.UNKNOWN, field)]
    run = record(
        domain=HOSTILE,
        run=HOSTILE,
        plan_fingerprint=HOSTILE,
        levels=(LevelOutcome("census", Verdict.FAIL, HOSTILE, {HOSTILE: [HOSTILE]}),),
        entities=(EntityCounts(HOSTILE, 1, 1, 1, by_rule={HOSTILE: 1}),),
        census=(FieldCensus(HOSTILE, HOSTILE, 1, 0, source_types={HOSTILE: 1}),),
    )
    rules = ParityRules(ignore=(Ignored(collection=HOSTILE, field=HOSTILE, reason=HOSTILE),), show=(HOSTILE,))
    rendered = as_html.render(build(run, hostile, history(), asked(rules=rules, values=True)))
    found = Page(rendered)
    assert {name for name, _ in found.elements} & {"script", "img"} == set()
    assert "onerror" not in {name for _, attributes in found.elements for name in attributes}
    assert "<img" not in rendered
    assert all(line.isprintable() for line in rendered.split("\n"))
    assert sum("onerror=alert(1)" in text for _, text in found.texts) > 10


@pytest.mark.parametrize("name", ["a b", 'a"b', "a'b", "a<b", "a&b", "a>b"])
def test_a_name_with_a_quote_stays_inside_its_attribute(name: str) -> None:
    ((_, attributes),) = Page(tag("p", title=name)).elements
    assert attributes == {"title": name}


def test_only_markup_is_taken_as_it_is() -> None:
    bold = tag("b", "<")
    assert bold == "<b>&lt;</b>"
    assert join(bold, f"{bold}") == "<b>&lt;</b>&lt;b&gt;&amp;lt;&lt;/b&gt;"
    assert not isinstance(bold + bold, Markup)
    assert tag("p", None, [bold, [None, "x"]], hidden=True, class_=None, open=False) == "<p hidden><b>&lt;</b>x</p>"


def test_a_pass_shows_no_mismatches_and_its_history() -> None:
    found = Page(as_html.render(build(clean(), [], [], asked())))
    assert found.said("h1") == ["Pass"]
    assert "Mismatches by cause" not in found.said("h2")
    assert len(found.all("figure")) == 2
    assert {"href": "#mismatches", "class": "skip"} not in found.all("a")


@pytest.mark.parametrize("verdict", list(Verdict))
def test_every_verdict_has_a_page(verdict: Verdict) -> None:
    run = clean(levels=(LevelOutcome("full", verdict, "why"),))
    assert Page(as_html.render(build(run, [], [], asked()))).said("h1") == [verdict.capitalize()]


def test_an_open_run_without_anything_has_a_page() -> None:
    run = record(finished_at=None, levels=(), entities=(), census=())
    found = Page(as_html.render(build(run, [], [], asked(rules=ParityRules()))))
    assert found.said("h1") == ["Incomplete"]


def test_charts_of_many_rows_stay_small_and_their_tables_have_all() -> None:
    counts = tuple(EntityCounts(f"entity-{number}", 1, 1, 1, 1) for number in range(60))
    rendered = as_html.render(build(record(entities=counts), [], [], asked()))
    (progress,) = re.findall(r'<svg [^>]*aria-label="Progress by entity".*?</svg>', rendered, re.S)
    assert progress.count('class="track"') == 16
    assert rendered.count('<th scope="row">entity-59</th>') == 2


@pytest.mark.parametrize(("part", "said"), [(1.0, "100 %"), (0.99999, "99.9 %"), (0.5, "50 %"), (0.0, "0 %")])
def test_a_share_is_never_rounded_up(part: float, said: str) -> None:
    assert percent(part) == said


@pytest.mark.parametrize(("count", "said"), [(999, "999"), (1_250, "1.2k"), (999_999, "999.9k"), (2_000_000, "2M")])
def test_a_count_is_short_where_there_is_little_room(count: int, said: str) -> None:
    assert short(count) == said
