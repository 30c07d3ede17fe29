"""Looks at the dashboard with a real browser and says what is not as the REST API says.

    browse.py --assets DIR                              against the stand-in of the service beside this file
    browse.py --url http://127.0.0.1:8081 [--token T]   against a running service, which is not changed
    ... --screenshots DIR                               writes PNGs: dark, light, phone

Options for a running service: --sql STATEMENT and --bad-sql STATEMENT (whose error names a line and column), --view NAME --key KEY.
SWIFTWATER_DASHBOARD_URL stands for --url. The last line printed is a JSON object; the status is 1 when something is wrong.
"""
import argparse
import importlib.util
import json
import os
import subprocess
import sys
import time
import traceback
import urllib.parse
import urllib.request

import browser as driver

# Contrast of every text with the ground below it, by WCAG 2: at least 4.5, or 3 for large text.
CONTRAST = """(() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true })
  const known = new Map(), rgba = color => { if (!known.has(color)) known.set(color, paint(color)); return known.get(color) }
  const paint = color => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); const d = canvas.getImageData(0, 0, 1, 1).data; return [d[0], d[1], d[2], d[3] / 255] }
  const light = c => { const [r, g, b] = c.map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b }
  const ground = e => { for (; e; e = e.parentElement) { const c = rgba(getComputedStyle(e).backgroundColor); if (c[3] > 0.99) return c } return [255, 255, 255, 1] }
  const bad = []
  for (const e of document.querySelectorAll('body *')) {
    if (e.closest('svg') || e.disabled || ![...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()) || !e.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue
    const style = getComputedStyle(e), a = light(rgba(style.color).slice(0, 3)), b = light(ground(e).slice(0, 3)), ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)
    const size = parseFloat(style.fontSize), least = size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5
    if (ratio < least) bad.push(`${ratio.toFixed(2)} ${e.tagName}.${e.className}: ${e.textContent.trim().slice(0, 40)}`)
  }
  return bad
})()"""

FOCUSED = "(() => { const e = document.activeElement; return e.id || e.getAttribute('aria-label') || e.textContent.trim().slice(0, 40) || e.tagName })()"


class Look:
    def __init__(self, options, page):
        self.options, self.page, self.base, self.is_fake = options, page, options.url.rstrip("/"), options.is_fake
        self.failures, self.checks, self.figures = [], 0, {}

    # What the service says.

    def ask(self, path, method="GET", body=None):
        request = urllib.request.Request(self.base + path, method=method, data=body, headers={"Authorization": "Bearer " + self.options.token} if self.options.token else {})
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def expect(self, condition, what):
        self.checks += 1
        if not condition:
            raise AssertionError(what)

    def part(self, name, work):
        if self.options.only and name not in self.options.only:
            return
        begun = time.monotonic()
        try:
            work()
        except Exception as error:  # One part that fails must not hide the others.
            text = str(error) if isinstance(error, AssertionError) else traceback.format_exc()
            self.failures.append(f"{name}: {text}")
        problems, self.page.problems = [p for p in self.page.problems if not any(known in p for known in self.allowed)], []
        self.allowed = []
        if problems:
            self.failures.append(f"{name}: on the console: {problems}")
        violations = self.page.evaluate("self.violations ?? []")
        if violations:
            self.failures.append(f"{name}: refused by the content security policy: {violations}")
        self.figures[name] = round(time.monotonic() - begun, 1)

    allowed = []

    def go(self, route, heading=None):
        self.page.evaluate(f"location.hash = {json.dumps(route)}")
        if heading:
            self.page.wait(f"document.querySelector('h1')?.innerText.includes({json.dumps(heading)})", f"heading {heading} at {route}")

    def rows(self, label):
        """The texts of a table's cells."""
        return self.page.evaluate(f"[...document.querySelectorAll('table[aria-label={json.dumps(label)}] tbody tr')].map(r => [...r.cells].map(c => c.innerText))")

    def wait_rows(self, label, least=1):
        self.page.wait(f"document.querySelectorAll('table[aria-label={json.dumps(label)}] tbody tr').length >= {least}", f"{least} rows of {label}")
        return self.rows(label)

    # Parts.

    def sign_in(self):
        page = self.page
        self.allowed = ["401"]
        page.open(self.base + "/")
        page.wait("document.querySelector('input[type=password]')", "a field for the token")
        page.type("wrong")
        page.key("Enter")
        page.wait_text("was not accepted")
        page.type(self.options.token)
        page.key("Enter")
        page.wait("document.querySelector('tbody tr')", "the overview behind the sign-in")
        self.expect(page.evaluate("sessionStorage.getItem('swiftwater-token')") == self.options.token, "the token is kept for the tab")
        self.expect(not page.evaluate("JSON.stringify(localStorage)").count(self.options.token), "the token is not kept beyond the tab")

    def overview(self):
        page = self.page
        page.open(self.base + "/")
        page.wait("document.querySelector('tbody tr')", "rows of the overview")
        paint = page.wait("performance.getEntriesByName('first-contentful-paint')[0]?.startTime", "the first paint")
        self.figures["firstPaintMilliseconds"] = round(paint)
        self.expect(paint < 1000, f"the first paint took {paint} ms")
        topologies = self.ask("/v1/topologies")["topologies"]
        shown = {row[0]: row for row in self.wait_rows("Topologies", len(topologies))}
        for t in topologies:
            self.expect(t["name"] in shown, f"topology {t['name']} is shown: {list(shown)}")
            row = shown[t["name"]]
            self.expect(t["state"] in row[1], f"{t['name']} is {t['state']}: {row}")
            self.expect(row[3] == f"{t['version']:,}" and row[4] == str(t["parallelism"] or "file"), f"version {t['version']} and parallelism of {t['name']}: {row}")
            if t["error"]:
                self.expect(t["error"][:60] in page.text("table[aria-label=Topologies]"), f"the error of {t['name']} is shown")
        jobs = self.ask("/v1/jobs/overview")["jobs"]
        shown = self.wait_rows("Jobs", len(jobs))
        for job in jobs:
            self.expect(any(row[0] == job["name"] and job["state"] in row[1] for row in shown), f"job {job['name']} {job['state']}: {shown}")
        page.wait_text("Live", "#link")
        if any(job["state"] == "RUNNING" for job in jobs) and self.options.moves:
            before = page.text(".tiles")
            page.wait(f"document.querySelector('.tiles').innerText !== {json.dumps(before)}", "the rate of rows moves")

    def job(self):
        page = self.page
        running = [t for t in self.ask("/v1/topologies")["topologies"] if t["state"] == "RUNNING" and t["jobs"]]
        self.expect(running, "a topology runs")
        topology = next((t for t in running if t["name"] == self.options.topology), running[0])
        jid = self.jid = topology["jobs"][0]
        report = self.ask(f"/v1/jobs/{jid}/report")
        self.go(f"#/jobs/{jid}", report["name"])
        page.wait("document.querySelector('.graph-canvas.placed')", "a graph that is laid out")
        boxes = page.evaluate("[...document.querySelectorAll('.box')].map(b => b.innerText)")
        self.expect(len(boxes) == len(report["vertices"]), f"{len(report['vertices'])} operators: {boxes}")
        for vertex in report["vertices"]:
            self.expect(any(vertex["name"] in box and f"×{vertex['parallelism']}" in box for box in boxes), f"operator {vertex['name']}: {boxes}")
        edges = page.evaluate("document.querySelectorAll('.edge').length")
        self.expect(edges == len(report["edges"]), f"{len(report['edges'])} edges: {edges}")
        labels = sorted(page.evaluate("[...document.querySelectorAll('.edge-label')].map(l => l.textContent)"))
        self.expect(labels == sorted(e["partitioning"].lower() for e in report["edges"]), f"ship strategies: {labels}")
        overlap = page.evaluate("""(() => { const r = [...document.querySelectorAll('.box')].map(b => b.getBoundingClientRect());
            return r.some((a, i) => r.some((b, j) => i < j && a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom)) })()""")
        self.expect(not overlap, "no box covers another one")
        page.wait("[...document.querySelectorAll('.box strong')].every(s => s.textContent.endsWith('/s'))", "a rate at each operator")
        if self.options.moves:
            before = page.evaluate("[...document.querySelectorAll('.box strong, .legend .value')].map(s => s.textContent).join()")
            page.wait(f"[...document.querySelectorAll('.box strong, .legend .value')].map(s => s.textContent).join() !== {json.dumps(before)}", "rates that move")
        page.wait("[...document.querySelectorAll('.box .share-text')].some(s => /busy \\d+ %/.test(s.textContent))", "busy shares")
        self.expect(page.evaluate("[...document.querySelectorAll('canvas')].filter(c => c.width > 100).length") >= 4, "four charts")
        painted = page.evaluate("(() => { const c = document.querySelector('canvas'); return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(v => v) })()")
        self.expect(painted, "the chart of rates is drawn")
        # An operator's subtasks.
        page.click(".box")
        first = report["vertices"][0]
        page.wait(f"document.querySelectorAll('#panel-graph table[aria-label=Subtasks] tbody tr').length === {first['parallelism']}", "the subtasks of the chosen operator")
        self.expect(page.evaluate("document.querySelector('.box').getAttribute('aria-pressed')") == "true", "the chosen operator is marked")
        # The other parts.
        page.click("#tab-subtasks")
        self.wait_visible("#panel-subtasks")
        count = sum(len(v["subtasks"]) for v in report["vertices"])
        page.wait(f"document.querySelectorAll('#panel-subtasks tbody tr').length === {count}", f"{count} subtasks")
        page.click("#tab-time")
        splits = [s["id"] for v in report["vertices"] for t in v["subtasks"] for s in t["splits"]]
        shown = self.wait_rows("Splits", len(splits)) if splits else []
        self.expect(sorted(row[1] for row in shown) == sorted(splits), f"splits {splits}: {shown}")
        page.click("#tab-checkpoints")
        history = self.ask(f"/v1/jobs/{jid}/report")["checkpoints"]["history"]
        if history:
            shown = {row[0]: row for row in self.wait_rows("Checkpoints", len(history) - 1)}
            for checkpoint in history[-5:]:
                row = shown.get(str(checkpoint["id"])) or {r[0]: r for r in self.rows("Checkpoints")}.get(str(checkpoint["id"]))
                self.expect(row, f"checkpoint {checkpoint['id']} is shown: {list(shown)}")
                self.expect(row[2] == ("savepoint" if checkpoint["isSavepoint"] else "checkpoint"), f"kind of {checkpoint}: {row}")
            for checkpoint in history:
                if checkpoint.get("failure") and str(checkpoint["id"]) in shown:
                    self.expect(checkpoint["failure"][:40] in " ".join(shown[str(checkpoint["id"])]), f"failure of checkpoint {checkpoint['id']}")
        page.click("#tab-exceptions")
        self.wait_visible("#panel-exceptions")
        for failure in report["failures"]:
            page.wait_text(failure["message"].split("\n")[0][:80], "#panel-exceptions")
        page.click("#tab-log")
        page.wait("document.querySelector('.log').textContent.length > 10", "the log")
        self.expect(page.evaluate("location.hash").endswith("/log"), "the address says which part is shown")

    def wait_visible(self, selector):
        self.page.wait(f"document.querySelector({json.dumps(selector)})?.checkVisibility()", f"{selector} is shown")

    def log_follows(self):
        before = self.page.evaluate("document.querySelector('.log').textContent.length")
        self.page.wait(f"document.querySelector('.log').textContent.length > {before}", "the log goes on")
        self.expect("progress" not in self.page.text(".log"), "progress is left out")
        self.page.click("#progress")
        self.page.wait_text('"event":"progress"', ".log")

    def tables(self):
        known = self.ask("/v1/tables")["tables"]
        self.go("#/tables", "Tables")
        if not known:
            return self.page.wait_text("No topology has a lake table")
        self.wait_rows("Tables", len(known))
        name = known[0]["name"]
        self.page.click("main tbody a")
        self.page.wait(f"document.querySelector('h1')?.innerText === {json.dumps(name)}", f"the page of {name}")
        table = self.ask(f"/v1/tables/{name}")
        self.page.wait_text(table["path"])
        self.expect(len(self.wait_rows("Partitions", len(table["partitions"]))) == len(table["partitions"]), "partitions")
        shown = self.wait_rows("Timeline")
        self.expect(not table["timeline"] or any((table["timeline"][-1].get("operation") or table["timeline"][-1]["action"]) == row[2] for row in shown), f"the timeline: {shown[:3]}")
        self.expect(self.page.evaluate("document.querySelectorAll('.histogram li').length") > 0, "the histogram of file sizes")
        rows = self.ask(f"/v1/tables/{name}/rows?limit=20")
        shown = self.wait_rows("First rows", len(rows["rows"]))
        self.expect(str(rows["rows"][0][0]) in shown[0][0], f"the first row: {shown[0]}")

    def streams(self):
        known = self.ask("/v1/streams")["streams"]
        self.go("#/streams", "Streams")
        if not known:
            return self.page.wait_text("There is no stream")
        name = known[0]["name"]
        self.wait_rows("Streams", len(known))
        self.page.click("main tbody a")
        stream = self.ask(f"/v1/streams/{name}")
        self.wait_rows("Shards", len(stream["shards"]))
        drawn = self.page.evaluate("[...document.querySelectorAll('.ranges .part')].map(p => parseFloat(p.style.width))")
        open_share = sum(width for width, shard in zip(drawn, stream["shards"]) if shard["open"])
        self.expect(len(drawn) == len(stream["shards"]) and 99 < open_share < 101, f"open shards cover the hash keys: {drawn}")
        records = self.ask(f"/v1/streams/{name}/tail?limit=50")["records"]
        if records:
            shown = self.wait_rows("Newest records")
            self.expect(any(row[3] for row in shown), f"records are shown: {shown[:2]}")
        if self.is_fake:
            before = self.page.text("table[aria-label='Newest records'] tbody tr")
            self.page.wait(f"document.querySelector('table[aria-label=\"Newest records\"]').innerText.indexOf({json.dumps(before[:80])}) !== 0 ", "new records come")
            self.page.wait_text("<img src=x", "table[aria-label='Newest records']")
            self.page.evaluate("(() => { const s = document.querySelector('select'); s.value = 'shardId-000000000002'; s.dispatchEvent(new Event('change')) })()")
            self.page.wait("[...document.querySelectorAll('table[aria-label=\"Newest records\"] tbody tr')].every(r => r.cells[1].textContent === '2')", "one shard's records")

    def sql(self):
        page = self.page
        self.go("#/sql", "SQL")
        editor = "document.querySelector('.code-editor .CodeMirror').CodeMirror"
        page.wait("document.querySelectorAll('.code-editor .CodeMirror').length > 0", "the editor")
        fill = lambda text: page.evaluate(f"(() => {{ const e = {editor}; e.setValue({json.dumps(text)}); e.focus() }})()")
        page.wait(f"[...document.querySelectorAll('select option')].some(o => o.value === {json.dumps(self.options.topology)})", "the topology whose tables are meant")
        page.evaluate(f"document.querySelector('select').value = {json.dumps(self.options.topology)}")
        fill(self.options.sql)
        page.key("Enter", 2)
        answer = self.ask("/v1/sql", "POST", json.dumps({"statement": self.options.sql, "limit": 100, "timeout": 10, "topology": self.options.topology}).encode())
        shown = self.wait_rows("Result", len(answer["rows"]))
        self.expect(len(shown) == len(answer["rows"]), f"{len(answer['rows'])} rows: {shown}")
        heads = page.evaluate("[...document.querySelectorAll('table[aria-label=Result] th')].map(h => h.innerText)")
        for column, head in zip(answer["columns"], heads):
            self.expect(column["name"] in head and column["type"] in head, f"column {column}: {head}")
        self.expect("NULL" in str(shown) or not any(None in row for row in answer["rows"]), "NULL is told from text")
        self.allowed = ["400"]
        fill(self.options.bad_sql)
        page.key("Enter", 2)
        page.wait("document.querySelector('.failure')", "the error of a wrong statement")
        text = page.text(".failure")
        self.expect("Line " in text and "column " in text, f"the place of the error: {text}")
        self.expect(page.evaluate("document.querySelector('.problem-line')?.parentElement.textContent.includes('statu') ?? false") or not self.is_fake, "the line with the error is marked")
        self.expect(page.evaluate(editor + ".getInputField().getAttribute('aria-invalid')") == "true", "the editor is marked as wrong")
        if self.is_fake:
            self.expect(any("9007199254740993" in row[1] for row in shown), f"a BIGINT keeps all its digits: {shown}")
            chosen = page.evaluate(editor + ".getSelection()")
            self.expect(chosen == "statu", f"the wrong word is selected: {chosen}")
            self.expect("did you mean 'status'" in text, text)

    def views(self):
        known = self.ask("/v1/views")["views"]
        self.go("#/views", "Views")
        if not known:
            return self.page.wait_text("No topology serves a view")
        name = self.options.view or known[0]["name"]
        self.wait_rows("Views", len(known))
        self.go(f"#/views/{name}", name)
        rows = self.ask(f"/v1/views/{name}?limit=50")["rows"]
        if rows:
            self.wait_rows("Rows", 1)
            key = self.options.key or rows[0]["key"]
            key = urllib.parse.unquote(key)
            self.page.click("form input")
            self.page.type(key)
            self.page.key("Enter")
            self.page.wait("document.querySelector('form .facts dd')", "the row of the key")
            self.expect(all(name in self.page.text("form .facts") for name in rows[0]["row"]), "the row's columns")
        if self.options.moves:
            self.wait_rows("Changes", 2)
        if self.is_fake:
            self.allowed = ["404"]
            self.page.evaluate("document.querySelector('form input').select()")
            self.page.type("nothing")
            self.page.key("Enter")
            self.page.wait_text("There is no row with the key nothing")

    def alerts(self):
        known = self.ask("/v1/alerts")["rules"]
        self.go("#/alerts", "Alerts")
        if not known:
            return self.page.wait_text("No topology has alert rules")
        shown = {row[0]: row for row in self.wait_rows("Alert rules", len(known))}
        def differing():
            now = {rule["name"]: rule["state"] if rule.get("enabled", True) else "disabled" for rule in self.ask("/v1/alerts")["rules"]}
            rows = {row[0]: row[1] for row in self.rows("Alert rules")}
            return {name: (state, rows.get(name)) for name, state in now.items() if state not in (rows.get(name) or "")}
        # Rules of a service that lives change their state while they are compared.
        deadline = time.monotonic() + 10
        while differing() and time.monotonic() < deadline:
            time.sleep(0.2)
        self.expect(not differing(), f"states of the rules: {differing()}")
        if not self.is_fake:
            return
        self.expect("firing" in shown["too-hot"][1], "the alert fires")
        self.ask("/_control", "POST", b'{"alert": "ok"}')
        self.page.wait("!document.querySelector('table[aria-label=\"Alert rules\"]').innerText.includes('firing')", "the alert is over")
        self.ask("/_control", "POST", b'{"alert": "firing"}')
        self.page.click("button[aria-label='Disable too-hot']")
        self.page.wait_text("disabled", "table[aria-label='Alert rules']")
        self.page.click("button[aria-label='Enable too-hot']")
        self.page.wait_text("firing", "table[aria-label='Alert rules']")
        self.page.click("main tbody a")
        self.page.wait_text("77.4 is above 70", "table[aria-label=History]")

    def operate(self):
        """Changes, against the stand-in only."""
        page = self.page
        self.go("#/", "Overview")
        self.wait_rows("Topologies", 4)
        page.click("button[aria-label='Stop clicks']")
        page.wait_text("A savepoint is taken first", "dialog")
        page.key("Escape")
        page.wait("!document.querySelector('dialog')", "Escape closes the dialog")
        self.expect(page.evaluate("document.activeElement.getAttribute('aria-label')") == "Stop clicks", "the focus goes back to the button")
        page.key("Enter")
        page.wait_text("Stop with savepoint", "dialog")
        page.key("Enter")
        page.wait_text("savepoint-00000113", "#notices")
        page.wait("[...document.querySelectorAll('tbody tr')].some(r => r.innerText.includes('clicks') && r.innerText.includes('STOPPED'))", "clicks has stopped")
        page.click("button[aria-label='Start clicks']")
        page.wait_text("newest savepoint", "dialog")
        page.key("Enter")
        page.wait("document.querySelector(\"button[aria-label='Stop clicks']\")", "clicks runs again")
        page.click("button[aria-label='Rescale clicks']")
        page.wait("document.querySelector('dialog input')", "the field of the parallelism")
        page.evaluate("document.querySelector('dialog input').select()")
        page.type("3")
        page.key("Enter")
        page.wait("[...document.querySelectorAll('tbody tr')].some(r => r.cells[0].innerText === 'clicks' && r.cells[4].innerText === '3')", "clicks has parallelism 3")
        # A file that is wrong, then one that is right.
        self.allowed = ["400"]
        page.click("button.primary")
        page.evaluate("(() => { const t = document.querySelector('dialog textarea'); t.value = 'name: fresh\\n'; t.dispatchEvent(new Event('input')) })()")
        self.expect(page.evaluate("document.querySelector('dialog input[pattern]').value") == "fresh", "the name comes from the file")
        page.click("dialog button[type=submit]")
        page.wait_text("'<b>colour</b>' is no setting", "dialog .failure")
        self.expect("fresh.yaml:1:1" in page.text("dialog .failure"), "both errors are shown")
        page.evaluate("""(() => { const data = new DataTransfer(); data.items.add(new File(['name: fresh\\ntables:\\n  a: {}\\n'], 'fresh.yaml'));
            document.querySelector('dialog textarea').dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true })) })()""")
        page.wait("document.querySelector('dialog textarea').value.includes('tables:')", "a dropped file is taken")
        page.click("dialog button[type=submit]")
        page.wait_text("fresh is deployed as version 1", "#notices")
        page.wait("[...document.querySelectorAll('tbody th')].some(c => c.innerText === 'fresh')", "the new topology is listed")
        self.go("#/topologies/fresh", "fresh")
        page.wait_text("version 1 deployed")
        page.click("button[aria-label='Delete fresh']")
        page.wait("document.querySelector('dialog[open]')", "a question before the deletion")
        self.expect(page.evaluate("document.activeElement.textContent") == "Keep it", "the harmless button has the focus")
        page.click("dialog button[type=submit]")
        page.wait("(rows => rows.length && rows.every(r => r.cells[0].innerText !== 'fresh'))([...document.querySelectorAll('table[aria-label=Topologies] tbody tr')])", "the topology is gone")

    def polling(self):
        """Without the live stream the page asks each second."""
        self.allowed = ["503"]
        self.ask("/_control", "POST", b'{"stream": false}')
        self.go("#/sql", "SQL")
        self.go("#/", "Overview")
        self.page.wait_text("Polling", "#link")
        self.page.wait("/\\d\\/s/.test(document.querySelector('table[aria-label=Jobs]').innerText)", "rates from polling")
        self.ask("/_control", "POST", b'{"stream": true}')
        self.page.wait_text("Live", "#link")

    def roles(self):
        """A reader who may only look has no buttons that change something."""
        page = self.page
        seen = "[...document.querySelectorAll('main button')].filter(b => b.checkVisibility()).map(b => b.textContent)"
        for role, wanted, hidden in (("view", [], ["Stop", "Deploy…"]), ("operate", ["Stop"], ["Deploy…"]), ("admin", ["Stop", "Deploy…"], [])):
            self.ask("/_control", "POST", json.dumps({"role": role}).encode())
            page.open(f"{self.base}/?{role}")
            page.wait(f"document.body.dataset.role === '{role}' && document.querySelector('table[aria-label=Topologies] tbody tr')", f"the overview of the role {role}")
            shown = page.evaluate(seen)
            self.expect(all(b in shown for b in wanted) and not any(b in shown for b in hidden), f"{role} has {wanted} and not {hidden}: {shown}")

    def restart(self):
        """The service ends and comes back: the page says so, and goes on."""
        page = self.page
        self.allowed = ["ERR_"]
        self.options.service.end()
        page.wait_text("Not connected", "#link")
        self.options.service.start()
        page.wait_text("Live", "#link")
        page.wait("!document.querySelector('main .failure')", "the message goes when the service is back")

    def without_libraries(self):
        """A program that was built without Debian's JavaScript packages says which ones to install, and shows the rest."""
        page = self.page
        self.ask("/_control", "POST", b'{"libraries": false}')
        page.open(self.base + f"/?plain#/jobs/{self.jid}")
        page.wait_text("apt-get install libjs-chart.js")
        page.wait_text("apt-get install node-dagre-layout")
        page.wait("document.querySelectorAll('.box').length > 1 && [...document.querySelectorAll('.box strong')].every(s => s.textContent.endsWith('/s'))", "operators without a graph")
        self.ask("/_control", "POST", b'{"libraries": true}')
        page.open(self.base + "/?libraries")
        page.wait("document.querySelector('tbody tr')", "rows of the overview")

    def keyboard(self):
        page = self.page
        page.open(self.base + "/")
        page.wait("document.querySelector('tbody tr')", "rows of the overview")
        page.key("Tab")
        self.expect(page.evaluate(FOCUSED) == "skip", "the first stop is the skip link")
        page.wait("document.querySelector('#skip').getBoundingClientRect().top >= 0", "the skip link is seen when it has the focus")
        page.key("Enter")
        self.expect(page.evaluate(FOCUSED) == "main", "it leads to the content")
        page.evaluate("document.activeElement.blur()")
        page.open(self.base + "/?again")
        page.wait("document.querySelector('tbody tr')", "rows of the overview")
        seen = []
        for _ in range(12):
            page.key("Tab")
            seen.append(page.evaluate(FOCUSED))
            outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            self.expect(outline != "none", f"the focus is seen on {seen[-1]}")
        order = ["skip", "Swiftwater", "Overview", "Tables", "Streams", "Studio", "SQL", "Views", "Alerts"]
        self.expect(seen[:9] == order and "theme" in seen, f"the order of the focus: {seen}")
        page.wait("document.querySelector('table[aria-label=Jobs] a')", "a job")
        page.evaluate("document.querySelector('table[aria-label=Jobs] a').focus()")
        page.key("Enter")
        page.wait("document.querySelector('[role=tablist]')", "the job's page")
        page.wait("document.activeElement.tagName === 'H1'", "the focus is on the new page's heading")
        page.evaluate("document.querySelector('#tab-graph').focus()")
        chosen = "document.querySelector('[role=tab][aria-selected=true]').id"
        for key, tab in [("ArrowRight", "tab-subtasks"), ("ArrowLeft", "tab-graph"), ("ArrowLeft", "tab-log"), ("Home", "tab-graph"), ("End", "tab-log")]:
            page.key(key)
            self.expect(page.evaluate(chosen) == tab and page.evaluate(FOCUSED.replace("textContent", "id")) == tab, f"{key} chooses {tab}: {page.evaluate(chosen)}")
        page.key("Home")
        page.wait("document.querySelector('.graph-canvas.placed')", "the graph")
        for _ in range(20):
            page.key("Tab")
            if page.evaluate("document.activeElement.className.startsWith('box')"):
                break
        page.key("Enter")
        page.wait("document.activeElement.getAttribute('aria-pressed') === 'true'", "Enter chooses an operator")

    def theme(self):
        page = self.page
        ground = "getComputedStyle(document.body).backgroundColor"
        page.scheme("dark")
        dark = page.evaluate(ground)
        page.scheme("light")
        light = page.evaluate(ground)
        self.expect(dark != light, "the page follows the system's scheme")
        for _ in range(2):
            page.click("#theme")
        self.expect(page.evaluate(ground) == dark and page.evaluate("document.querySelector('#theme').getAttribute('aria-label')") == "Theme: dark", "the button chooses the dark theme")
        page.open(self.base + "/?dark")
        page.wait("document.querySelector('tbody tr')", "rows of the overview")
        self.expect(page.evaluate(ground) == dark, "the choice is kept")
        page.click("#theme")
        self.expect(page.evaluate(ground) == light, "back to the system's")

    def routes(self):
        found = {"overview": "#/"}
        if getattr(self, "jid", None):
            found.update({"job": f"#/jobs/{self.jid}", "checkpoints": f"#/jobs/{self.jid}/checkpoints", "watermarks": f"#/jobs/{self.jid}/time", "subtasks": f"#/jobs/{self.jid}/subtasks",
                          "exceptions": f"#/jobs/{self.jid}/exceptions"})
        for kind, key in (("topologies", "topology"), ("tables", "table"), ("streams", "stream"), ("views", "view")):
            names = [item["name"] for item in self.ask("/v1/" + kind)[kind]]
            if names:
                found[key] = f"#/{kind}/{self.options.topology if kind == 'topologies' and self.options.topology in names else names[0]}"
        found.update({"sql": "#/sql", "alerts": "#/alerts"})
        for rule in self.ask("/v1/alerts")["rules"][:1]:
            found["alerts"] = f"#/alerts/{rule['topology']}/{rule['name']}"
        return found

    def settle(self, name, route):
        self.page.evaluate("document.querySelector('main').replaceChildren()")
        self.go("#/nowhere", "no such page")
        self.go(route)
        ready = {"job": "document.querySelector('.graph-canvas.placed') && [...document.querySelectorAll('.legend .value')].some(v => /\\d/.test(v.textContent))",
                 "sql": "document.querySelector('textarea')", "exceptions": "document.querySelector('#panel-exceptions')?.checkVisibility()",
                 "topology": "document.querySelector('.log')?.textContent.length"}.get(name, "document.querySelector('main tbody tr')")
        self.page.wait(f"!document.querySelector('main h1')?.innerText.includes('no such page') && {ready}", f"{name} at {route}", 5)

    def shoot(self, name):
        if self.options.screenshots:
            os.makedirs(self.options.screenshots, exist_ok=True)
            self.page.screenshot(os.path.join(self.options.screenshots, name + ".png"))

    def accessibility(self):
        """Every page in light and dark: contrast, and the rules of axe where its script is installed."""
        page, found = self.page, []
        axe = axe_script()
        self.figures["axe"] = bool(axe)
        page.size(1360, 900)
        for scheme in ("light", "dark"):
            page.scheme(scheme, reduces_motion=True)
            for name, route in self.routes().items():
                # The others have the colours of these.
                if scheme == "dark" and not self.options.screenshots and name not in ("overview", "job", "checkpoints", "sql", "stream", "alerts"):
                    continue
                self.settle(name, route)
                self.shoot(f"{scheme}-{name}")
                for problem in page.evaluate(CONTRAST):
                    found.append(f"{scheme} {name}: contrast {problem}")
                self.checks += 1
                if axe and scheme == "light":
                    if not page.evaluate("typeof axe === 'object'"):
                        page.evaluate(axe + "; undefined")
                    broken = page.evaluate("axe.run(document, { resultTypes: ['violations'], rules: { 'color-contrast': { enabled: false } } }).then(r => r.violations.map(v => `${v.id}: ${v.help}: ${v.nodes.slice(0, 2).map(n => n.html.slice(0, 160)).join(' ')}`))")
                    found += [f"{name}: {problem}" for problem in broken]
        page.scheme("light")
        self.expect(not found, "\n".join(found))

    def phone(self):
        page, found = self.page, []
        page.size(360, 780, 2, True)
        for name, route in self.routes().items():
            self.settle(name, route)
            width = page.evaluate("document.scrollingElement.scrollWidth")
            self.checks += 1
            if width > 360:
                found.append(f"{name} is {width} px wide: " + str(page.evaluate("[...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > 361 && !e.closest('.table-scroll, .graph, .tabs, pre')).slice(0, 3).map(e => e.outerHTML.slice(0, 120))")))
            nav = page.evaluate("(n => n.scrollWidth - n.clientWidth)(document.querySelector('nav'))")
            if nav > 0:
                found.append(f"{name}: the navigation is cut by {nav} px")
            self.shoot(f"phone-{name}")
        page.size(1360, 900)
        self.expect(not found, "\n".join(found))


def axe_script():
    place = importlib.util.find_spec("axe_playwright_python")
    if not place:
        return None
    with open(os.path.join(place.submodule_search_locations[0], "axe.min.js")) as file:
        return file.read()


class StandIn:
    """The stand-in of the service, on the same port each time it is started."""

    def __init__(self, options):
        self.options, self.port, self.process = options, "0", None

    def start(self):
        program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake_service.py")
        self.process = subprocess.Popen([sys.executable, program, "--assets", self.options.assets, "--token", self.options.token, "--port", self.port], stdout=subprocess.PIPE, text=True)
        self.port = self.process.stdout.readline().strip()
        return self.port

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", default=os.environ.get("SWIFTWATER_DASHBOARD_URL"))
    parser.add_argument("--token", default=None)
    parser.add_argument("--assets")
    parser.add_argument("--screenshots")
    parser.add_argument("--topology", default="sensors")
    parser.add_argument("--sql", default="SELECT status, COUNT(*) AS readings\nFROM sensor_data\nGROUP BY status")
    parser.add_argument("--bad-sql", default="SELECT status, COUNT(*) AS readings\nFROM sensor_data\nGROUP BY statu")
    parser.add_argument("--view")
    parser.add_argument("--key")
    parser.add_argument("--still", dest="moves", action="store_false", help="no rows come in: rates need not move")
    parser.add_argument("--only", nargs="*", help="names of parts")
    options = parser.parse_args()
    if not driver.EXECUTABLE:
        print(json.dumps({"skipped": "no chromium is installed (apt-get install chromium)"}))
        return 0
    options.is_fake = not options.url
    service = None
    if options.is_fake:
        if not options.assets:
            parser.error("--url or --assets is needed")
        options.token = "let-me-in"
        service = options.service = StandIn(options)
        options.url = "http://127.0.0.1:" + service.start()
    begun = time.monotonic()
    browser = driver.Browser()
    try:
        page = browser.page()
        page.size(1360, 900)
        page.scheme("light")
        look = Look(options, page)
        if options.token:
            look.part("sign-in", look.sign_in)
        look.part("overview", look.overview)
        if look.failures:  # Nothing else can be looked at.
            return report(look, begun)
        look.part("job", look.job)
        if options.is_fake:
            look.part("log", look.log_follows)
        for name in ("tables", "streams", "sql", "views", "alerts"):
            look.part(name, getattr(look, name))
        look.part("keyboard", look.keyboard)
        look.part("theme", look.theme)
        if options.is_fake:
            look.part("operate", look.operate)
            look.part("polling", look.polling)
            look.part("libraries", look.without_libraries)
            look.part("roles", look.roles)
            look.part("restart", look.restart)
        look.part("accessibility", look.accessibility)
        look.part("phone", look.phone)
    finally:
        browser.close()
        if service:
            service.end()
    return report(look, begun)


def report(look, begun):
    for failure in look.failures:
        print("WRONG", failure)
    print(json.dumps({"failures": look.failures, "checks": look.checks, "seconds": round(time.monotonic() - begun, 1), **look.figures}))
    return 1 if look.failures else 0


if __name__ == "__main__":
    sys.exit(main())
