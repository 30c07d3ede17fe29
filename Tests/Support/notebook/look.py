"""Looks at a notebook's page and at pictures of charts with a real browser: look.py DIRECTORY [--screenshots DIRECTORY].

The directory has page.html, made from the notebook of PageSamples.swift, and file-*.svg. The last line printed is a JSON object; the status is 1 when something is wrong.
"""
import argparse
import glob
import importlib.util
import json
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "dashboard"))
import browser as driver  # noqa: E402
from browse import CONTRAST, axe_script  # noqa: E402

# Contrast of marks with their ground (at least 3) and of the letters in pictures (at least 4.5).
MARKS = """(() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true })
  const rgba = color => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); const d = canvas.getImageData(0, 0, 1, 1).data; return [d[0], d[1], d[2]] }
  const light = c => { const [r, g, b] = c.map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b }
  const ratio = (a, b) => { const [x, y] = [light(rgba(a)), light(rgba(b))]; return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05) }
  const bad = [], seen = new Set()
  for (const svg of document.querySelectorAll('svg.chart')) {
    if (!svg.checkVisibility()) continue
    const own = svg.querySelector('.ground'), ground = own ? getComputedStyle(own).fill : getComputedStyle(svg.closest('.code') ?? document.body).backgroundColor
    for (const e of svg.querySelectorAll('text, .swatch, .bar, .slice')) {
      const fill = getComputedStyle(e).fill, least = e.tagName === 'text' ? 4.5 : 3, key = fill + ground
      if (seen.has(key + least)) continue
      seen.add(key + least)
      if (ratio(fill, ground) < least) bad.push(`${ratio(fill, ground).toFixed(2)} of ${fill} on ${ground}: ${e.getAttribute('class')} ${e.textContent.slice(0, 30)}`)
    }
  }
  return { bad, seen: seen.size }
})()"""

# Texts of a picture that touch each other, or leave it.
OVERLAPS = """(() => {
  const bad = []
  for (const svg of document.querySelectorAll('svg.chart')) {
    if (!svg.checkVisibility()) continue
    const name = svg.querySelector('title').textContent.slice(0, 30), outer = svg.getBoundingClientRect()
    const boxes = [...svg.querySelectorAll('text:not([transform])')].map(t => [t.textContent.slice(0, 30), t.getBoundingClientRect()])
    for (const t of svg.querySelectorAll('text')) {
      const r = t.getBoundingClientRect()
      if (r.left < outer.left - 1 || r.right > outer.right + 1 || r.top < outer.top - 1 || r.bottom > outer.bottom + 1) bad.push(`${name}: "${t.textContent}" leaves the picture`)
    }
    boxes.forEach(([a, r], i) => boxes.slice(i + 1).forEach(([b, s]) => {
      const w = Math.min(r.right, s.right) - Math.max(r.left, s.left), h = Math.min(r.bottom, s.bottom) - Math.max(r.top, s.top)
      if (w > 1 && h > 3) bad.push(`${name}: "${a}" covers "${b}"`)
    }))
  }
  return bad
})()"""


class Look:
    def __init__(self, page, options):
        self.page, self.options, self.failures, self.checks = page, options, [], 0

    def expect(self, condition, what):
        self.checks += 1
        if not condition:
            self.failures.append(what)

    def shoot(self, name, is_whole=True):
        if self.options.screenshots:
            os.makedirs(self.options.screenshots, exist_ok=True)
            self.page.screenshot(os.path.join(self.options.screenshots, name + ".png"), is_whole)

    def part(self, selector, name):
        """A screenshot of one element."""
        if not self.options.screenshots:
            return
        import base64
        box = self.page.evaluate(f"(() => {{ const r = document.querySelector({json.dumps(selector)}).getBoundingClientRect(); return {{ x: r.x + scrollX, y: r.y + scrollY, width: r.width, height: r.height }} }})()")
        data = self.page.call("Page.captureScreenshot", {"format": "png", "captureBeyondViewport": True, "clip": {**box, "scale": 1}})["data"]
        with open(os.path.join(self.options.screenshots, name + ".png"), "wb") as file:
            file.write(base64.b64decode(data))

    def cell(self, title):
        return f"[...document.querySelectorAll('section.code')].find(s => s.querySelector('h2, h3, h4')?.textContent === {json.dumps(title)})"

    def run(self):
        page, evaluate = self.page, self.page.evaluate
        page.size(1100, 900)
        page.scheme("light")
        page.open("file://" + os.path.join(self.options.directory, "page.html"))
        page.wait("document.readyState === 'complete' && document.querySelector('section.code')", "the whole page")

        # What the page says.
        self.expect(evaluate("document.title").startswith("Sensors </pre>"), "the title")
        self.expect(evaluate("document.querySelectorAll('h1').length") == 1, "one heading of the first level")
        self.expect(evaluate("typeof hacked") == "undefined", "no text of the notebook is run as a program")
        links = evaluate("[...document.querySelectorAll('.contents a')].map(a => [a.textContent, !!document.getElementById(decodeURIComponent(a.hash.slice(1)))])")
        self.expect(all(there for _, there in links) and ["Tables", True] in links and ["Averages", True] in links, f"the contents lead to headings: {links}")
        ids = evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
        self.expect(len(ids) == len(set(ids)), f"names that are there twice: {sorted(i for i in set(ids) if ids.count(i) > 1)}")
        bar = self.cell("Average temperature by status")
        marks = evaluate(f"[...{bar}.querySelectorAll('.wide .bar')].map(b => ({{ x: b.dataset.x, y: +b.dataset.y, height: b.getBoundingClientRect().height, fill: getComputedStyle(b).fill }}))")
        self.expect([m["x"] for m in marks] == ["OK", "WARNING", "ERROR"], f"three bars: {marks}")
        self.expect(all(abs(m["height"] / marks[0]["height"] - m["y"] / marks[0]["y"]) < 0.01 for m in marks), f"the bars are as high as their values: {marks}")
        labels = evaluate(f"[...{bar}.querySelectorAll('.wide .x-axis text')].map(t => t.textContent)")
        self.expect(labels == ["OK", "WARNING", "ERROR"], f"labels below the bars: {labels}")
        self.expect(evaluate(f"{bar}.querySelector('.state').textContent") == "stopped" and evaluate(f"{bar}.querySelector('.time').textContent") == "10.2 s", "state and time")
        self.expect(evaluate(f"{bar}.querySelector('.interpreter').textContent") == "%flink.ssql(type=update)", "the interpreter")
        self.expect(evaluate(f"getComputedStyle({bar}.querySelector('td.number')).textAlign") == "right", "numbers stand to the right")
        self.expect(evaluate(f"{bar}.querySelector('.source .keyword').textContent") == "SELECT", "the source is marked up")
        self.expect(evaluate("document.querySelector('.failure strong').textContent") != "", "failures are shown")
        self.expect(evaluate("document.querySelector('a[href^=\"#cell-\"]').textContent") == "Go to the error", "a way to the error")
        self.expect(evaluate("[...document.querySelectorAll('.markdown a')].filter(a => a.protocol === 'javascript:').length") == 0, "no link runs anything")
        self.expect(evaluate("document.querySelector('.markdown').textContent.includes(\"<script>self.hacked = 1</script>\")"), "HTML in Markdown is shown as it is written")
        self.expect(evaluate("document.querySelector('img').naturalWidth") == 40, "pictures are in the page")
        self.expect(evaluate("document.querySelector('iframe').getAttribute('sandbox')") == "", "HTML of cells is in a box")
        page.evaluate("document.querySelector('#hide-source').click()")
        self.expect(evaluate("[...document.querySelectorAll('.source')].every(s => !s.checkVisibility())"), "the source can be hidden")
        page.evaluate("document.querySelector('#hide-source').click()")
        self.expect(evaluate("getComputedStyle(document.querySelector('.code')).borderRadius") == "10px", "the style sheet is let in by the policy")

        axe = axe_script()
        for width, kind in ((1100, "wide"), (400, "phone")):
            page.size(width, 900, 1 if width > 600 else 2, width < 600)
            for scheme in ("light", "dark"):
                page.scheme(scheme)
                for problem in evaluate(CONTRAST):
                    self.failures.append(f"{kind} {scheme}: contrast {problem}")
                marks = evaluate(MARKS)
                self.expect(not marks["bad"], f"{kind} {scheme}: {marks['bad']}")
                self.expect(marks["seen"] >= 8, f"colours that were looked at: {marks['seen']}")
                self.shoot(f"page-{kind}-{scheme}")
                if scheme == "light" or kind == "phone":
                    for number in evaluate("[...document.querySelectorAll('section.code')].filter(s => s.querySelector('svg')).map(s => s.dataset.cell)") if self.options.screenshots else []:
                        self.part(f"#cell-{number} figure", f"cell-{kind}-{scheme}-{number}")
            self.expect(not (found := evaluate(OVERLAPS)), f"{kind}: {found[:6]}")
            wide = evaluate("document.scrollingElement.scrollWidth")
            self.expect(wide <= width, f"{kind}: the page is {wide} px wide: " + str(evaluate(f"[...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > {width} + 1 && !e.closest('.scroll, .markdown table')).slice(0, 4).map(e => e.outerHTML.slice(0, 120))")))
            shown = evaluate("[...document.querySelectorAll('svg.chart')].filter(s => s.checkVisibility()).length")
            figures = evaluate("document.querySelectorAll('figure').length")
            self.expect(shown == figures, f"{kind}: {shown} charts of {figures} are shown")
            small = evaluate("[...document.querySelectorAll('svg.chart')].filter(s => s.checkVisibility()).map(s => s.getBoundingClientRect().width / s.viewBox.baseVal.width).filter(f => f < 0.85)")
            self.expect(not small, f"{kind}: pictures are made smaller: {small}")
            if axe:
                page.evaluate(axe + "; undefined")
                # The contrast is measured above; a box without scripts cannot be looked into.
                broken = evaluate("axe.run(document, { iframes: false, resultTypes: ['violations'], rules: { 'color-contrast': { enabled: false } } }).then(r => r.violations.map(v => `${v.id}: ${v.help}: ${v.nodes.slice(0, 2).map(n => n.html.slice(0, 160)).join(' ')}`))")
                self.expect(not broken, f"{kind}: axe: {broken}")
        self.checks += 1
        # The hostile notebook has one thing that the policy has to refuse: nothing else may be.
        violations = evaluate("self.violations ?? []")
        self.expect(not violations, f"refused by the content security policy: {violations}")
        problems = [p for p in page.problems if "sandboxed" not in p and "Blocked script execution" not in p]
        self.expect(not problems, f"on the console: {problems}")
        page.size(1100, 900)
        page.scheme("light")
        page.call("Emulation.setEmulatedMedia", {"media": "print"})
        self.expect(evaluate("getComputedStyle(document.querySelector('.scroll')).maxHeight") == "none" and not evaluate("document.querySelector('.toggle').checkVisibility()"), "tables are printed whole")
        page.call("Emulation.setEmulatedMedia", {"media": ""})

        # Pictures by themselves follow the reader's theme.
        for path in sorted(glob.glob(os.path.join(self.options.directory, "file-*.svg"))):
            name = os.path.basename(path)[5:-4]
            page.open("file://" + path)
            grounds = []
            for scheme in ("light", "dark"):
                page.scheme(scheme)
                grounds.append(evaluate("getComputedStyle(document.querySelector('.ground')).fill"))
                marks = evaluate(MARKS.replace("document.createElement('canvas')", "document.createElementNS('http://www.w3.org/1999/xhtml', 'canvas')"))
                self.expect(not marks["bad"], f"{name} {scheme}: {marks['bad']}")
            self.expect(grounds[0] != grounds[1], f"{name}: {grounds}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("directory")
    parser.add_argument("--screenshots")
    options = parser.parse_args()
    options.directory = os.path.abspath(options.directory)
    if not driver.EXECUTABLE:
        print(json.dumps({"skipped": "no chromium is installed (apt-get install chromium)"}))
        return 0
    begun = time.monotonic()
    browser = driver.Browser()
    try:
        look = Look(browser.page(), options)
        look.run()
    finally:
        browser.close()
    for failure in look.failures:
        print("WRONG", failure)
    print(json.dumps({"failures": look.failures, "checks": look.checks, "seconds": round(time.monotonic() - begun, 1), "axe": importlib.util.find_spec("axe_playwright_python") is not None}))
    return 1 if look.failures else 0


sys.exit(main())
