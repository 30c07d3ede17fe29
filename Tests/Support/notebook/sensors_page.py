"""Runs the sensors notebook, and looks at its HTML page with a real browser: the bars of the average temperature by status.

    sensors_page.py BINARY NOTEBOOK DIRECTORY
"""
import json, os, subprocess, sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "dashboard"))
import browser as driver

binary, notebook, directory = sys.argv[1:4]
os.makedirs(directory, exist_ok=True)
page_file, json_file = directory + "/sensors.html", directory + "/sensors.json"
done = subprocess.run([binary, "notebook", "run", "--scratch", notebook, "--output", "html=" + page_file, "--output", "json=" + json_file], capture_output=True, text=True, timeout=120)
assert done.returncode == 0, (done.stdout[-2000:], done.stderr[-2000:])
cells = [c for c in json.load(open(json_file))["cells"] if c.get("state")]
readings = next(o for c in cells if c.get("title") == "Readings as they come" for o in c["outputs"] if o["type"] == "table")
names = [c["name"] for c in readings["columns"]]
by_status = {}
for row in readings["rows"]:
    by_status.setdefault(row[names.index("status")], []).append(row[names.index("current_temperature")])
expected = {status: sum(values) / len(values) for status, values in by_status.items()}
assert set(expected) == {"OK", "WARNING", "ERROR"} and len(readings["rows"]) == readings["total"] == 600, (expected, readings["total"])

chromium = driver.Browser()
try:
    for name, scheme, width in (("light", "light", 1100), ("dark", "dark", 1100), ("phone", "light", 400)):
        page = chromium.page()
        page.size(width, 900, is_phone=name == "phone")
        page.scheme(scheme)
        page.open("file://" + os.path.abspath(page_file))
        page.wait("document.querySelector('svg.chart-bar')", "the chart")
        # There is one drawing for wide screens and one for narrow ones.
        chart = "[...document.querySelectorAll('svg.chart-bar')].find(c => c.checkVisibility())"
        bars = page.evaluate(f"""[...({chart}).querySelectorAll('.bar')].map(b => ({{x: b.dataset.x, y: Number(b.dataset.y),
            height: b.getBoundingClientRect().height, width: b.getBoundingClientRect().width, fill: getComputedStyle(b).fill}}))""")
        assert {b["x"] for b in bars} == set(expected) and len(bars) == 3, bars
        for bar in bars:
            assert abs(bar["y"] - expected[bar["x"]]) < 1e-6, (bar, expected)
            assert bar["width"] > 10 and bar["fill"] not in ("none", "rgba(0, 0, 0, 0)"), bar
        scale = [b["height"] / b["y"] for b in bars]
        assert max(scale) / min(scale) < 1.02, bars
        labels = page.evaluate(f"[...({chart}).querySelectorAll('.x-axis text')].map(t => t.textContent)")
        assert set(labels) == {"OK", "WARNING", "ERROR"}, labels
        assert "Average temperature by status" in page.evaluate(f"({chart}).textContent"), name
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), name
        asked = page.evaluate("performance.getEntriesByType('resource').map(r => r.name).filter(n => !n.startsWith('data:'))")
        assert asked == [], asked
        page.evaluate(f"({chart}).scrollIntoView({{block: 'center'}})")
        page.screenshot(f"{directory}/sensors-{name}.png")
finally:
    chromium.close()
print(json.dumps({"bars": 3, "averages": {k: round(v, 2) for k, v in expected.items()}}))
