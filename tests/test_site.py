"""The built site, page by page: its links as written, and its pages as a browser shows them.

`make docs` builds the site; without it, or without Chromium, these tests are skipped and say so (not in CI).
"""

import functools
import http.server
import json
import re
import tempfile
import threading
from html import unescape
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin

import book
import order
import pytest
import release
from axe_playwright_python.sync_playwright import Axe
from conftest import ROOT

SITE = ROOT / "_docs"
PAGES = sorted(
    p.relative_to(SITE).as_posix() for p in SITE.rglob("*.html") if "_static" not in p.parts
) or ["index.html"]
CONTENT = [
    page
    for page in PAGES
    if not page.startswith(("_modules", "genindex", "search", "py-modindex"))
]
LEAKS = [
    "{target=",
    "#|",
    "$$",
    ":::",
    "show_doc(",
    "\\tag",
    "[object",
    "{cite",
    "{entry}",
    "ipykernel_",
    "\\(",
]
WIDTHS = {"desktop": (1300, 900), "phone": (390, 844)}


# ---- as written --------------------------------------------------------------------------------------------


@functools.cache
def parsed(page):
    """The links, resources and anchors of one page."""
    return release.Addresses((SITE / page).read_text(encoding="utf-8"))


def is_foreign(link):
    return link.startswith(("http:", "https:", "//", "mailto:", "data:"))


@pytest.mark.parametrize("page", PAGES)
def test_links_and_anchors_resolve(page, site):
    broken = []
    for link in parsed(page).links + parsed(page).resources:
        if not is_foreign(link):
            target, anchor = urldefrag(urljoin(page, link))
            target = unquote(target.split("?")[0]) or page
            if not (site / target).is_file():
                broken.append(link)
            elif target.endswith(".html") and unquote(anchor) not in parsed(target).anchors:
                broken.append(link)
    assert not broken, f"{page} links to what is not there: {broken}"


@pytest.mark.parametrize("page", PAGES)
def test_nothing_is_fetched_from_elsewhere(page, site):
    foreign = [
        link
        for link in parsed(page).resources
        if is_foreign(link) and not link.startswith("data:")
    ]
    assert not foreign, f"{page} needs the network for {foreign}"


# ---- as shown ----------------------------------------------------------------------------------------------


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A file server that does not log."""

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def address(site):
    """The site on a free local port."""
    handler = functools.partial(Quiet, directory=site)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def tab(browser, address):
    """A tab that may talk to the site alone, and that remembers all that goes wrong in `tab.problems`."""
    context = browser.new_context()
    tab = context.new_page()
    tab.problems = []

    def only_the_site(route):
        if route.request.url.startswith((address, "data:", "blob:")):
            route.continue_()
        else:
            tab.problems.append(f"asks for {route.request.url}")
            route.abort()

    context.route("**/*", only_the_site)
    tab.on("pageerror", lambda error: tab.problems.append(f"JavaScript error: {error}"))
    tab.on(
        "console",
        lambda m: m.type == "error" and tab.problems.append(f"console error: {m.text}"),
    )
    tab.on(
        "response",
        lambda r: r.status >= 400 and tab.problems.append(f"HTTP {r.status}: {r.url}"),
    )
    yield tab
    context.close()


def visit(tab, url):
    """Open a page and wait until its formulas are typeset."""
    tab.goto(url)
    tab.evaluate(
        "async () => { if (window.MathJax?.startup) await window.MathJax.startup.promise }"
    )


LOOK = """() => {
    const article = document.querySelector("article");
    const prose = article.cloneNode(true);
    prose.querySelectorAll("pre, code, mjx-container, script, style").forEach(node => node.remove());
    const cut = [...document.querySelectorAll("article *")].filter(node => {
        const box = node.getBoundingClientRect();
        if (box.right <= innerWidth + 1 || !box.width) return false;
        for (let up = node; up; up = up.parentElement)       // beyond the edge is fine inside what scrolls
            if (up !== document.body && getComputedStyle(up).overflowX !== "visible") return false;
        return true;
    });
    // what scrolls sideways shows it: by a shadow at its edge, which is a background
    const scrolls = [...article.querySelectorAll("*")].filter(node =>
        node.scrollWidth > node.clientWidth + 1 && ["auto", "scroll", "hidden", "clip"].includes(getComputedStyle(node).overflowX)
        && node.checkVisibility() && node.clientWidth > 1);
    const displays = [...article.querySelectorAll(".display .math")];
    // a column so narrow that its words stand letter under letter
    const squeezed = [...article.querySelectorAll("td, th, dt, dd")].filter(node => {
        const words = document.createRange();
        words.selectNodeContents(node);
        return node.checkVisibility() && 0 < node.clientWidth && node.clientWidth < 90
            && node.textContent.trim().length > 6 && words.getBoundingClientRect().height > 130;
    });
    return {
        squeezed: squeezed.map(node => node.textContent.trim().slice(0, 60)),
        displays: displays.length,
        scrolling: displays.filter(node => scrolls.includes(node)).map(node => node.closest(".display").querySelector(".eqno")?.textContent ?? "(no number)"),
        unsigned: scrolls.filter(node => !getComputedStyle(node).backgroundImage.includes("gradient") && !node.closest("mjx-container, .headerlink")).map(node => node.outerHTML.slice(0, 120)),
        numbers: [...article.querySelectorAll(".eqno")].filter(node => {
            const box = node.getBoundingClientRect();
            return box.width < 5 || box.left < 0 || box.right > innerWidth + 1;
        }).map(node => node.textContent),
        prose: prose.textContent,
        code: [...article.querySelectorAll(".cell_input pre")].map(node => node.textContent),
        bare: [...article.querySelectorAll(".math:not(:has(mjx-container))")].map(node => node.textContent),
        errors: [...document.querySelectorAll("mjx-merror, [data-mjx-error]")].map(node => node.textContent),
        broken: [...document.images].filter(image => !image.naturalWidth).map(image => image.src),
        mute: [...article.querySelectorAll("img")].filter(image => !image.alt.trim()).map(image => image.src),
        sideways: document.documentElement.scrollWidth - document.documentElement.clientWidth,
        cut: cut.map(node => node.outerHTML.slice(0, 90)),
    };
}"""


DISPLAYS = {}  # (page, width): how many displays it has, and which of them scroll


@pytest.mark.browser
@pytest.mark.parametrize("page", PAGES)
def test_page_is_whole(page, tab, address):
    for name, (width, height) in WIDTHS.items():
        tab.set_viewport_size({"width": width, "height": height})
        if (
            tab.url != address + page
        ):  # a window that changes its width needs no second visit
            visit(tab, address + page)
        seen = tab.evaluate(LOOK)
        where = f"{page} ({name})"
        assert not seen["bare"], f"{where}: formulas not typeset: {seen['bare']}"
        assert not seen["errors"], f"{where}: formulas with an error: {seen['errors']}"
        assert not seen["broken"], f"{where}: images that do not load: {seen['broken']}"
        assert not seen["mute"], (
            f"{where}: images without a description (fig-alt): {seen['mute']}"
        )
        assert seen["sideways"] <= 0, (
            f"{where}: scrolls sideways by {seen['sideways']} px: {seen['cut'][:3]}"
        )
        assert not seen["cut"], f"{where}: reaches beyond the edge: {seen['cut'][:3]}"
        assert not seen["unsigned"], f"{where}: cut without a sign: {seen['unsigned'][:3]}"
        assert not seen["numbers"], f"{where}: numbers cut off: {seen['numbers']}"
        assert not seen["squeezed"], f"{where}: columns too narrow: {seen['squeezed']}"
        DISPLAYS[page, name] = seen["displays"], seen["scrolling"]
        leaks = [
            leak
            for leak in LEAKS
            if leak in seen["prose"] and not page.startswith("_modules")
        ]
        assert not leaks, f"{where}: shows {leaks}"
        assert not [code for code in seen["code"] if "#|" in code], (
            f"{where}: shows a directive of nbdev"
        )
    assert not tab.problems, f"{page}: {tab.problems}"


@pytest.mark.browser
def test_formulas_fit_a_phone():
    """At most one display in fifty scrolls; counted over the pages that the test above has seen."""
    seen = {page: found for (page, name), found in DISPLAYS.items() if name == "phone"}
    if not seen:
        pytest.skip("counts what test_page_is_whole has seen")
    scrolling = {page: found for page, (_, found) in seen.items() if found}
    total = sum(count for count, _ in seen.values())
    assert sum(map(len, scrolling.values())) <= 0.02 * total, scrolling


SAMPLE = [
    "index.html",
    "regression/01_svd.html",
    "checks.html",
    "choose.html",
    "api.html",
    "attention/06g_functional.html",  # has a figure with sliders
]


@pytest.mark.browser
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=[] if page in SAMPLE else [pytest.mark.slow])
        for page in CONTENT
    ],
)
def test_nothing_hinders_a_reader(page, tab, address):
    """What axe finds: contrast, names, alt texts, headings, landmarks, focus, language, in light and dark."""
    for scheme in ("light", "dark"):
        tab.emulate_media(color_scheme=scheme)
        visit(tab, address + page)
        found = (
            Axe().run(tab, options={"resultTypes": ["violations"]}).response["violations"]
        )
        told = [
            f"{v['id']} ({v['impact']}): {v['help']}: {v['nodes'][0]['html'][:160]}"
            for v in found
        ]
        assert not told, f"{page} ({scheme}):\n" + "\n".join(told)


TEMPORARY = re.escape(tempfile.gettempdir() + "/")
TOLD = re.compile(
    r"\w*Warning\b.*|.* WARNING .*|.*(?:/site-packages/|/ipykernel_|File \"/|"
    + TEMPORARY
    + ").*"
)


@pytest.mark.parametrize("page", CONTENT)
def test_outputs_show_no_warning_and_no_path(page, site):
    text = (site / page).read_text(encoding="utf-8")
    outputs = re.findall(
        r'<div class="output (?:stream|stderr|text_plain).*?</pre>', text, re.S
    )
    shown = [TOLD.search(unescape(re.sub("<.*?>", "", output))) for output in outputs]
    assert not any(shown), [match[0][:200] for match in shown if match]


@pytest.mark.parametrize("page", CONTENT)
def test_every_figure_is_a_picture(page, site):
    """A kernel without Matplotlib's inline backend leaves a line of text, `<Figure size ...>`, in its place."""
    text = (site / page).read_text(encoding="utf-8")
    figures = re.findall(r'<figure[^>]*id="(fig-[\w-]+)"[^>]*>(.*?)</figure>', text, re.S)
    assert not [name for name, inside in figures if not re.search("<(img|svg)", inside)]
    assert not re.search(r"&lt;Figure size [^&]*Axes&gt;\s*</pre>", text)


def test_contents_list_the_chapters_and_the_case_studies(site):
    index = (site / "index.html").read_text(encoding="utf-8")
    _, chapters, cases, reference = index.split('<span class="caption-text">')[:4]
    notebooks = sorted(p.stem for p in (ROOT / "nbs" / "cases").glob("*.ipynb"))
    assert chapters.startswith("The book") and 'href="00_notation.html"' in chapters
    assert 'href="choose.html"' in chapters and 'href="cite.html"' in reference
    assert cases.startswith("Case studies") and reference.startswith("Reference")
    assert sorted(re.findall(r'href="cases/(\w+)\.html"', cases)) == notebooks


@pytest.mark.parametrize("part", book.PARTS)
def test_chapters_of_a_part_stand_in_their_order(part, site):
    """In the sidebar, and so for "previous" and "next": 6c before 6c2."""
    index = (site / "index.html").read_text(encoding="utf-8")
    found = list(dict.fromkeys(re.findall(rf'href="{part}/(\d\w+)\.html"', index)))
    sidebar = re.findall(rf'toctree-l2"><a [^>]*href="{part}/(\d\w+)\.html"', index)
    assert sidebar == [path.stem for path in book.chapters_of(part)], found


SHOWN = """() => [...document.querySelectorAll(".sidebar-tree a")]
    .filter(link => link.checkVisibility() && link.getBoundingClientRect().right > 0)
    .map(link => link.href)"""


@pytest.mark.browser
@pytest.mark.parametrize("part", book.PARTS)
def test_the_sidebar_opens_the_part_that_one_is_in_and_folds_the_others(part, tab, address):
    chapters = {path.stem for path in book.chapters_of(part)}
    for name, (width, height) in WIDTHS.items():
        tab.set_viewport_size({"width": width, "height": height})
        for page in ("index", sorted(chapters)[0]):
            visit(tab, f"{address}{part}/{page}.html")
            if name == "phone":
                assert not tab.evaluate(SHOWN), "the sidebar covers the page"
                tab.click(".mobile-header .nav-overlay-icon")
                tab.wait_for_timeout(500)  # it slides in
            shown = [link.removeprefix(address) for link in tab.evaluate(SHOWN)]
            inside = {Path(link.split("#")[0]).stem for link in shown if f"{part}/" in link}
            here = {"", page} if page == "index" else {page}  # the page itself is "#"
            assert inside | here >= chapters, f"{part}/{page} ({name}) hides its chapters"
            for other in set(book.PARTS) - {part}:
                links = [link for link in shown if link.startswith(f"{other}/")]
                assert links == [f"{other}/index.html"], (
                    f"{other} is open in {part} ({name})"
                )
    assert not tab.problems


def test_the_api_index_is_by_parts(site):
    text = (site / "api.html").read_text(encoding="utf-8")
    titles = [
        re.sub("<.*?>", "", h).strip("#") for h in re.findall(r"<h2>(.*?)</h2>", text)
    ]
    pages = [ROOT / "nbs" / part / "index.md" for part in book.PARTS]
    parts = [page.read_text(encoding="utf-8").splitlines()[0][2:] for page in pages]
    assert titles == ["The ground", *parts, "Figures"]
    assert (
        'title="olsattention.regression.ThinSVD"' in text and ">regression.ThinSVD<" in text
    )


PATCHED = [
    ("regression/02_embeddings", "olsattention.CoulombeEmbedding", "transform"),
    ("kernels/04e_rkhs", "olsattention.KernelSmoother", "predict"),
]


@pytest.mark.parametrize("page, name, method", PATCHED)
def test_a_method_has_its_entry_at_its_cell_and_its_source(page, name, method, site):
    text = (site / f"{page}.html").read_text(encoding="utf-8")
    entry = text.index(f'id="{name}.{method}"')
    assert text.index(f'href="#{name}.{method}" title=') < entry  # the table of the class
    following = text[entry : text.index("<details", entry) + 500]
    assert f"{name.rpartition('.')[2]}.{method}" in re.sub("<.*?>", "", following)
    (source,) = re.findall(
        r'href="([^"]*#[^"]*)"><span class="viewcode-link">', text[entry:]
    )[:1]
    target, anchor = urldefrag(urljoin(f"{page}.html", source))
    code = (site / target).read_text(encoding="utf-8")
    block = code[code.index(f'id="{anchor}"') :][:2000]
    assert re.search(
        rf'href="[^"]*{page}\.html#{re.escape(name)}\.{method}">\[docs\]', block
    )
    assert f"def {method}(" in re.sub(
        "<.*?>", "", block.replace('<span class="w"> </span>', " ")
    )


@pytest.mark.browser
def test_search_finds_a_word_of_the_book(tab, address):
    visit(tab, address + "search.html?q=tolerance")
    tab.wait_for_selector("#search-results li a", timeout=10_000)
    assert any(
        "checks" in link.get_attribute("href")
        for link in tab.query_selector_all("#search-results li a")
    )
    assert not tab.problems


SOUGHT = {
    "ridge attention": "attention/06g_functional.html",
    "GCV": "selection/05_gcv.html",
    "leverage": "regression/01_svd.html",
    "jackknife": "selection/05d_sure.html",
    "thin SVD": "regression/01_svd.html",
    "R factor": "regression/01b_rfactor.html",
    "forgetting": "attention/06c_forgetting.html",
}


@pytest.mark.browser
@pytest.mark.parametrize("words", SOUGHT)
def test_search_finds_the_chapter_of_a_word_first(words, tab, address):
    visit(tab, f"{address}search.html?q={words.replace(' ', '+')}")
    tab.wait_for_selector("#search-results li a", timeout=10_000)
    tab.wait_for_function(
        "!document.querySelector('#search-progress')?.textContent.includes('Searching')"
    )
    first = tab.query_selector("#search-results li a").get_attribute("href")
    assert urldefrag(first.split("?")[0])[0] == SOUGHT[words]
    assert not tab.problems


def test_every_public_function_has_a_home_for_the_search():
    terms = order.terms()
    for name, page in [("attention_weights", "02"), ("select_lam", "05"), ("rbf", "04")]:
        assert Path(terms[name.replace("_", " ")]).name.startswith(page)


# ---- figures with a slider ---------------------------------------------------------------------------------

SLIDING = {
    "selection/05_gcv.html": "fig-penalty",
    "regression/02_embeddings.html": "fig-one-forecast",
    "attention/06g_functional.html": "fig-ridge-softmax",
    "14_plots.html": "fig-plot-sliding",
}
JSON = re.compile(r'<script type="application/json" class="sliding">(.*?)</script>', re.S)


def sliding(site, page):
    """The numbers of a page's figure with a slider, as the cell wrote them."""
    (text,) = JSON.findall((site / page).read_text(encoding="utf-8"))
    return json.loads(text)


def penalty_by_package(root):
    """GCV and degrees of freedom on the prostate data, from the package alone."""
    import pandas as pd

    from olsattention import SpectralSmoother

    men = pd.read_csv(root / "nbs" / "data" / "prostate.csv")
    tested = "7 9 10 15 22 25 26 28 32 34 36 42 44 48 49 50 53 54 55 57 62 64 65 66 73 74 80 84 95 97"
    kept = men.index.difference([int(man) - 1 for man in tested.split()])
    measured = men.drop(columns="lpsa")
    A = ((measured - measured.mean()) / measured.std()).loc[kept]
    return SpectralSmoother.from_design(A, intercept=True), men["lpsa"].loc[kept]


@pytest.mark.browser
def test_a_slider_shows_the_numbers_of_the_package(tab, address, root):
    smoother, y = penalty_by_package(root)
    visit(tab, address + "selection/05_gcv.html")
    figure = tab.locator("#fig-penalty .live")
    figure.locator("svg").nth(3).wait_for()
    before = figure.locator("output").text_content()
    slider = figure.locator("input[type=range]")
    slider.focus()
    for key in ("End", "ArrowLeft", "ArrowLeft"):
        tab.keyboard.press(key)
    said = figure.locator("output").text_content()
    assert said != before and tab.url.endswith("05_gcv.html")
    lam = float(re.search(r"λ = (\S+):", said)[1])
    found = re.search(r"(\S+) degrees of freedom, GCV (\S+)", said)
    assert slider.get_attribute("aria-valuetext") == f"{lam:.3g}"
    assert lam > 1e5 and float(found[1]) == pytest.approx(smoother.df(lam), abs=0.006)
    assert float(found[2]) == pytest.approx(smoother.gcv(y, lam), abs=6e-5)
    assert not tab.problems


@pytest.mark.browser
def test_the_bars_of_a_slider_are_the_weights_of_the_package(tab, address):
    import numpy as np
    import pandas as pd
    import statsmodels.api as sm

    from olsattention import attention_weights

    macro = sm.datasets.macrodata.load_pandas().data
    macro.index = pd.period_range("1959Q1", periods=len(macro), freq="Q")
    columns = macro["infl"], macro["infl"].rolling(4).mean(), macro["unemp"]
    growth = 400 * np.log(macro["realgdp"]).diff()
    known = pd.concat([*columns, macro["tbilrate"], growth], axis=1).shift(1).dropna()
    weights = attention_weights(
        known["2006":].to_numpy(), known[:"2005"].to_numpy(), intercept=True
    )
    visit(tab, address + "regression/02_embeddings.html")
    figure = tab.locator("#fig-one-forecast .live")
    figure.locator("svg").nth(1).wait_for()
    figure.locator("input").focus()
    tab.keyboard.press("Home")
    for k in range(3):
        bars = figure.locator("svg").first.locator("g[data-mark=rule] line")
        heights = bars.evaluate_all(
            "bars => bars.slice(0, -1).map(bar => bar.y1.baseVal.value - bar.y2.baseVal.value)"
        )
        heights = np.array(heights)[: weights.shape[1]]
        largest = np.abs(weights[k]).argmax()
        expected = weights[k] / weights[k, largest]
        assert np.allclose(heights / heights[largest], expected, atol=1e-3), k
        tab.keyboard.press("ArrowRight")
    assert not tab.problems


@pytest.mark.browser
@pytest.mark.parametrize("page", SLIDING)
def test_every_position_of_a_slider_is_shown(page, tab, address, site):
    """Each control changes the text to that of its position, at both widths, and nothing is fetched from elsewhere."""
    known = sliding(site, page)
    for width, height in WIDTHS.values():
        tab.set_viewport_size({"width": width, "height": height})
        visit(tab, address + page)
        figure = tab.locator(f"#{SLIDING[page]} .live")
        figure.locator("svg").nth(len(known["panels"]) - 1).wait_for()
        inputs, place = figure.locator("input[type=range]"), list(known["start"])
        assert inputs.count() == len(known["controls"])
        for i, control in enumerate(known["controls"]):
            inputs.nth(i).focus()
            tab.keyboard.press("End")
            place[i] = len(control["texts"]) - 1
            index = 0
            for one, at in zip(known["controls"], place, strict=True):
                index = index * len(one["texts"]) + at
            assert figure.locator("output").text_content() == known["said"][index]
            name = tab.evaluate("document.activeElement.labels[0].textContent")
            assert name == control["name"] + control["texts"][-1]
        boxes = [svg.bounding_box() for svg in figure.locator("svg").all()]
        assert all(box["width"] > 150 and box["x"] + box["width"] <= width for box in boxes)
    assert not tab.problems


@pytest.mark.browser
@pytest.mark.parametrize("page", SLIDING)
def test_a_picture_stands_where_scripts_are_off(page, browser, address):
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(address + page)
    picture = tab.locator(f"#{SLIDING[page]} img")
    assert picture.is_visible() and len(picture.get_attribute("alt")) > 20
    assert tab.locator(".live").count() == 0
    context.close()


def test_a_page_with_a_slider_is_light_and_others_load_nothing_of_it(site):
    for page in CONTENT:
        text = (site / page).read_text(encoding="utf-8")
        assert ("_static/live.js" in text) == (page in SLIDING), page
    for page in SLIDING:
        (text,) = JSON.findall((site / page).read_text(encoding="utf-8"))
        assert len(text.encode()) < 300_000, f"{page}: {len(text)} bytes"


@pytest.mark.browser
def test_dark_mode_toggles(tab, address):
    tab.emulate_media(color_scheme="light")
    visit(tab, address + "checks.html")

    def background():
        color = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(int(part) for part in color.strip("rgb()").split(",")[:3])

    assert background() > 600
    for _ in range(3):  # auto, light, dark in turn
        tab.click(".content-icon-container .theme-toggle")
        if tab.evaluate("document.body.dataset.theme") == "dark":
            break
    assert background() < 200
    tab.reload()
    assert background() < 200, "the choice is forgotten on the next page"


def test_previous_and_next_lead_through_the_book(site):
    page, seen = "index.html", []
    while page and len(seen) <= len(CONTENT):
        seen.append(page)
        text = (site / page).read_text(encoding="utf-8")
        assert ('class="prev-page"' in text) == (page != "index.html"), f"{page}: previous"
        following = re.search(r'<a class="next-page" href="([^"]+)"', text)
        page = following and Path(urljoin(page, following[1])).as_posix()
    assert sorted(seen) == sorted(CONTENT)


def test_notebooks_can_be_downloaded(site):
    for page in CONTENT:
        links = [link for link in parsed(page).links if link.endswith(".ipynb")]
        source = ROOT / "nbs" / Path(page).with_suffix(".ipynb")
        if source.exists():
            assert len(links) == 1, f"{page} offers {links}"
            downloaded = site / urljoin(page, links[0])
            assert downloaded.read_bytes() == source.read_bytes(), (
                f"{page} is not of this notebook: run make docs"
            )
