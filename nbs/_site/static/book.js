/* Displays on narrow screens: one statement a line, as formulas.py wrote them beside the wide form. */

const small = matchMedia("(max-width: 46em)");
const settings = window.MathJax?.output; // until MathJax takes its place

function choose() {
  if (settings) settings.displayAlign = small.matches ? "left" : "center";
  for (const display of document.querySelectorAll(".display")) {
    const math = display.querySelector(".math");
    display.dataset.wide ??= math.textContent;
    math.textContent = small.matches ? display.dataset.narrow : display.dataset.wide;
  }
}

/* What still is too wide is set smaller, down to three quarters; what then is too wide scrolls. */
function fit() {
  for (const math of document.querySelectorAll(".display .math")) {
    math.style.fontSize = "";
    const ratio = math.clientWidth / math.scrollWidth;
    if (ratio < 1) math.style.fontSize = `${Math.max(ratio - 0.01, 0.75)}em`;
  }
}

/* What scrolls can be scrolled without a mouse, and the two columns beside the text have names. */
function reach() {
  for (const node of document.querySelectorAll("article :is(pre, .math, .table-wrapper, .text_html, .map), .sidebar-scroll, .toc-scroll"))
    if (node.scrollWidth > node.clientWidth || node.scrollHeight > node.clientHeight) node.tabIndex = 0;
    else node.removeAttribute("tabindex");
}

function settle() {
  fit();
  reach();
}

document.querySelector(".sidebar-drawer")?.setAttribute("aria-label", "The book");
document.querySelector(".toc-drawer")?.setAttribute("aria-label", "This page");
addEventListener("load", reach);
addEventListener("resize", reach);
addEventListener("toggle", reach, true); // folded code that opens
choose();
if (settings) {
  window.MathJax.startup = {
    pageReady: () => window.MathJax.startup.defaultPageReady().then(settle),
  };
  small.addEventListener("change", async () => {
    window.MathJax.typesetClear();
    choose();
    window.MathJax.startup.output.options.displayAlign = small.matches ? "left" : "center";
    await window.MathJax.typesetPromise();
    settle();
  });
}
