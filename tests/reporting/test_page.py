"""The page in a real browser: its filters, and its browser of examples."""

import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ptmoe.reporting.analysis import analyse
from ptmoe.reporting.cells import read_task
from ptmoe.reporting.examples import as_json
from tests.reporting.browser import CHROMIUM, Browser
from tests.reporting.conftest import SEEDS, STATISTICS
from tests.reporting.test_report import report

EVIL = "</script><script>document.title = 'run'</script><img src='evil.png' onerror=\"document.title = 'run'\"> \u4f60"
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here (Debian's package `chromium`)")


def replace_first(path, **texts):
    """Puts other texts into the first row of a table."""
    table = pq.read_table(path)
    for name, text in texts.items():
        column = pa.array([text, *table[name].to_pylist()[1:]], table.schema.field(name).type)
        table = table.set_column(table.column_names.index(name), name, column)
    pq.write_table(table, path)


@pytest.fixture(scope="module")
def evil_run(whole_run, tmp_path_factory):
    """A run in which one question and one answer are markup; not to be changed."""
    root = shutil.copytree(whole_run, tmp_path_factory.mktemp("evil") / "run")
    replace_first(root / "data/split/qa/test/Close.parquet", question=f"needle {EVIL}", context=EVIL, answers=[EVIL])
    replace_first(root / "predictions/qa-good-0.parquet", prediction=EVIL)
    return root


@pytest.fixture(scope="module")
def page(evil_run, tmp_path_factory):
    out = tmp_path_factory.mktemp("page") / "report"
    report(evil_run, out)
    return out / "index.html"


@pytest.fixture
def browser(page):
    with Browser() as opened:
        opened.open(page)
        yield opened
        assert opened.requests == [page.as_uri()]
        assert opened.complaints == []


def visible(browser, selector):
    """The texts of the elements that are shown."""
    shown = f"[...document.querySelectorAll({json.dumps(selector)})].filter((each) => each.getClientRects().length)"
    return browser.run(f"{shown}.map((each) => each.innerText)")


def found(browser):
    return int(browser.run("document.querySelector('#found').textContent").split()[0])


@needs_browser
def test_filters_hide_rows_and_entries(browser):
    browser.run("document.querySelector('#filter').open = true")
    assert {"qa", "math"} == set(browser.run("[...document.querySelectorAll('section[data-task]')].map((s) => s.id)"))
    browser.click("#filter [name=task][value=qa]")
    assert not visible(browser, "#qa h2") and visible(browser, "#math h2")
    assert [text.split("/")[0] for text in visible(browser, "#list .key")] == ["math"] * 20 and found(browser) == 80
    browser.click("#filter [name=method][value=none]")
    browser.click("#filter [name=seed][value='1']")
    shown = visible(browser, "main tr[data-method]")
    assert shown and not any("none" in row for row in shown)
    assert visible(browser, "#math th[data-method]") and "none" not in visible(browser, "#math th[data-method]")
    seeds = [row.split()[:2] for row in visible(browser, "#efficiency tr[data-seed]")]
    assert sorted(seeds) == sorted([method, seed] for method in ("good", "same", "routed") for seed in ("0", "2"))
    names = {row.split("\t")[0] for row in visible(browser, "#list tr")}
    assert names == {f"{method}, seed {seed}" for method in ("good", "same", "routed") for seed in (0, 2)}
    browser.click("#filter [name=method][value=none]")
    assert any("none" in row for row in visible(browser, "#math tr[data-method]"))


@needs_browser
def test_two_methods_are_compared_where_they_differ(browser, evil_run):
    browser.choose("[name=where]", "qa/Far")
    assert found(browser) == 30
    browser.choose("[name=first]", "good")
    browser.choose("[name=second]", "same")
    scores = {
        method: [pq.read_table(evil_run / f"scores/qa/{method}-{seed}.parquet").to_pylist() for seed in SEEDS]
        for method in ("good", "same")
    }
    far = [each for each in zip(*scores["good"], *scores["same"], strict=True) if each[0]["dataset"] == "Far"]
    values = [[row["f1"] for row in each] for each in far]
    expected = sum(any(row[s] != row[3 + s] for s in range(3)) for row in values)
    assert 0 < found(browser) == expected < 30
    assert {row.split(",")[0] for row in visible(browser, "#list tr")} == {"good", "same"}
    browser.choose("[name=how]", "first")
    assert found(browser) == sum(any(row[s] > row[3 + s] for s in range(3)) for row in values)
    browser.click("#more")
    assert len(visible(browser, "#list .case")) == found(browser) > 20


@needs_browser
def test_search_finds_texts_and_markup_stays_text(browser):
    browser.type("[name=search]", "NEEDLE")
    assert found(browser) == 1
    (entry,) = visible(browser, "#list .case")
    assert entry.count(EVIL) == 4
    assert browser.run("document.querySelectorAll('#list script, #list img').length") == 0
    assert browser.run("document.title") == "PT-MoE and its baselines"
    browser.type("[name=search]", "no such text")
    assert found(browser) == 0 and not visible(browser, "#list .case")
    browser.type("[name=search]", "Far-3")
    assert {"expert 1, gate 0.75"} == set(
        browser.run(
            "[...document.querySelectorAll('#list td:nth-child(3)')].map((each) => each.textContent).filter(Boolean)"
        )
    )


def test_the_sample_keeps_its_budget_and_prefers_differences(evil_run):
    analyses = [analyse(read_task(task, ["none", "same"], [0], evil_run), STATISTICS) for task in ("qa", "math")]
    everything = json.loads(as_json(analyses, {}, evil_run))
    assert [[n, total] for task in everything["tasks"] for _, n, total in task["datasets"]] == [
        [n, n] for n in (40, 30, 40, 20, 20)
    ]
    text = as_json(analyses, {}, evil_run, budget=40_000)
    assert 20_000 < len(text.encode()) < 41_000 and text == as_json(analyses, {}, evil_run, budget=40_000)
    assert "<" not in text
    differ = lambda row: len({cell[1] for cell in row[-1]}) > 1  # noqa: E731
    for some, whole in zip(json.loads(text)["tasks"], everything["tasks"], strict=True):
        for number, (name, kept, total) in enumerate(some["datasets"]):
            rows = [[row for row in task["rows"] if row[0] == number] for task in (some, whole)]
            assert len(rows[0]) == kept < total == len(rows[1]), name
            assert all(row in rows[1] for row in rows[0])
            assert sum(map(differ, rows[0])) == min(kept, sum(map(differ, rows[1])))


def test_a_data_set_too_small_for_its_interval_is_named_on_the_page(evil_run, tmp_path):
    root = shutil.copytree(evil_run, tmp_path / "run")
    for path in (root / "scores/math").iterdir():
        table = pq.read_table(path)
        kept = [
            not name.startswith("Mixed/") or index % 20 < 8 for index, name in enumerate(table["dataset"].to_pylist())
        ]
        pq.write_table(table.filter(pa.array(kept)), path)
    page = report(root, tmp_path / "report", tasks=["math"], seeds=[0])
    for name in ("Plus", "Minus"):
        assert f"<li>The test set &#39;Mixed/{name}&#39; has 4 groups of related examples: interval and" in page
