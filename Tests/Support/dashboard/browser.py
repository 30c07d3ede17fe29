"""Drives a headless Chromium by the DevTools protocol over a pipe, with Python's own library only."""
import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

EXECUTABLE = os.environ.get("SWIFTWATER_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

KEYS = {"Tab": (9, "Tab", ""), "Enter": (13, "Enter", "\r"), "Escape": (27, "Escape", ""), "ArrowRight": (39, "ArrowRight", ""), "ArrowLeft": (37, "ArrowLeft", ""),
        "ArrowUp": (38, "ArrowUp", ""), "ArrowDown": (40, "ArrowDown", ""), "Home": (36, "Home", ""), "End": (35, "End", ""), "Space": (32, "Space", " ")}
# Bits of `modifiers`.
CONTROL, SHIFT = 2, 8


class Browser:
    """One browser with a profile of its own; `close` ends it."""

    def __init__(self, seconds=60):
        self.profile = tempfile.mkdtemp(prefix="swiftwater-browser-")
        self.deadline_seconds = seconds
        to_child, from_child = os.pipe(), os.pipe()
        # Above 9, so that placing them at 3 and 4 in the child overwrites neither.
        reads, writes = fcntl.fcntl(to_child[0], fcntl.F_DUPFD_CLOEXEC, 10), fcntl.fcntl(from_child[1], fcntl.F_DUPFD_CLOEXEC, 10)

        def place():
            os.dup2(reads, 3)
            os.dup2(writes, 4)

        self.process = subprocess.Popen(
            [EXECUTABLE, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--no-default-browser-check",
             "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions", "--mute-audio", "--force-color-profile=srgb",
             "--hide-scrollbars", "--lang=en-US", "--user-data-dir=" + self.profile, "--remote-debugging-pipe", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, close_fds=False, preexec_fn=place, env={**os.environ, "TZ": "UTC"})
        for fd in (to_child[0], from_child[1], reads, writes):
            os.close(fd)
        self.out, self.input = to_child[1], from_child[0]
        self.buffer, self.number, self.pages = b"", 0, {}

    def receive(self, until):
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.input], [], [], max(0, until - time.monotonic()))
            if not ready:
                raise TimeoutError("the browser does not answer")
            data = os.read(self.input, 1 << 20)
            if not data:
                raise RuntimeError("the browser has ended")
            self.buffer += data
        message, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(message)

    def post(self, method, params=None, session=None):
        """Sends without waiting for the answer."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params or {}}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.out, data):]
        return message

    def call(self, method, params=None, session=None):
        message = self.post(method, params, session)
        until = time.monotonic() + self.deadline_seconds
        while True:
            answer = self.receive(until)
            if answer.get("id") == message["id"]:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            if "method" in answer and answer.get("sessionId") in self.pages:
                self.pages[answer["sessionId"]].notify(answer["method"], answer["params"])

    def page(self, has_window=False):
        """A tab, or a window of its own: of the tabs of a window one is visible."""
        target = self.call("Target.createTarget", {"url": "about:blank", **({"newWindow": True} if has_window else {})})["targetId"]
        session = self.call("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        return Page(self, session)

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.out)
        os.close(self.input)
        shutil.rmtree(self.profile, ignore_errors=True)


class Page:
    def __init__(self, browser, session):
        self.browser, self.session = browser, session
        browser.pages[session] = self
        # Messages on the console, exceptions and refusals by the content security policy.
        self.problems = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(domain + ".enable")
        self.call("Page.addScriptToEvaluateOnNewDocument", {"source": "self.violations = []; document.addEventListener('securitypolicyviolation', e => violations.push(e.violatedDirective + ' ' + e.blockedURI))"})

    def call(self, method, params=None):
        return self.browser.call(method, params, self.session)

    def notify(self, method, params):
        if method == "Page.javascriptDialogOpening":
            # Nothing else is answered before it.
            self.problems.append(f"dialog: {params['type']} {params['message']}")
            self.browser.post("Page.handleJavaScriptDialog", {"accept": True}, self.session)
        elif method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.problems.append("exception: " + details.get("exception", {}).get("description", details["text"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.problems.append("console: " + " ".join(str(a.get("value", a.get("description"))) for a in params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.problems.append("log: {text} {url}".format(text=params["entry"]["text"], url=params["entry"].get("url", "")))

    def evaluate(self, expression):
        result = self.call("Runtime.evaluate", {"expression": expression, "awaitPromise": True, "returnByValue": True})
        if "exceptionDetails" in result:
            details = result["exceptionDetails"]
            raise RuntimeError(details.get("exception", {}).get("description", details["text"]) + "\nin: " + expression[:300])
        return result["result"].get("value")

    def size(self, width, height, scale=1, is_phone=False):
        self.call("Emulation.setDeviceMetricsOverride", {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": is_phone})

    def scheme(self, name, reduces_motion=False):
        self.call("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": name},
                                                              {"name": "prefers-reduced-motion", "value": "reduce" if reduces_motion else "no-preference"}]})

    def open(self, address):
        self.call("Page.navigate", {"url": address})

    def wait(self, expression, what=None, seconds=10):
        """Waits until a JavaScript expression is true; returns its value."""
        until = time.monotonic() + seconds
        while True:
            try:
                value = self.evaluate(expression)
            except RuntimeError as error:
                # The page may be between two documents.
                if "context" not in str(error).lower() and "navigated" not in str(error) and "null" not in str(error) and "undefined" not in str(error):
                    raise
                value = None
            if value not in (None, False, 0, ""):
                return value
            if time.monotonic() > until:
                shown = self.evaluate("document.body.innerText.slice(0, 1500)")
                raise AssertionError(f"{what or expression}: did not come true within {seconds} s; problems: {self.problems}; the page shows:\n{shown}")
            time.sleep(0.04)

    def text(self, selector="main"):
        return self.evaluate(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")

    def wait_text(self, text, selector="main", seconds=10):
        self.wait(f"document.querySelector({json.dumps(selector)})?.innerText.includes({json.dumps(text)})", f"{text!r} in {selector}", seconds)

    def click(self, selector):
        """Clicks where the element is, as a mouse does."""
        at = self.wait(f"(() => {{ const e = document.querySelector({json.dumps(selector)}); if (!e) return null; e.scrollIntoView({{block: 'center'}}); "
                       "const r = e.getBoundingClientRect(); return r.width ? {x: r.x + r.width / 2, y: r.y + r.height / 2} : null })()", "a click on " + selector)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", {"type": kind, "x": at["x"], "y": at["y"], "button": "left", "clickCount": 1})

    def key(self, name, modifiers=0):
        code, key, text = KEYS.get(name) or (ord(name.upper()), name, name)
        event = {"key": " " if key == "Space" else key, "code": key, "windowsVirtualKeyCode": code, "modifiers": modifiers}
        self.call("Input.dispatchKeyEvent", {"type": "keyDown" if text and not modifiers else "rawKeyDown", **event, **({"text": text} if text and not modifiers else {})})
        self.call("Input.dispatchKeyEvent", {"type": "keyUp", **event})

    def type(self, text):
        self.call("Input.insertText", {"text": text})

    def screenshot(self, path, is_whole=False):
        params = {"format": "png"}
        if is_whole:
            params["captureBeyondViewport"] = True
            box = self.call("Page.getLayoutMetrics")["cssContentSize"]
            params["clip"] = {"x": 0, "y": 0, "width": box["width"], "height": min(box["height"], 4000), "scale": 1}
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.call("Page.captureScreenshot", params)["data"]))
