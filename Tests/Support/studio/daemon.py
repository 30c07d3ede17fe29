"""Kernels of a real daemon: none of them, nor what their cells started, outlives it, however it ends.

    daemon.py PROGRAM DATA
"""
import json
import os
import sys
import threading
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "service"))
import signal
from daemon import Daemon, wait

program, data = sys.argv[1], sys.argv[2]
folder = data + ".notebooks"
os.makedirs(folder)
NOTEBOOK = """-- %% language="sh"
-- # @background
-- echo $$ > started; exec sleep 1000

-- %%
CREATE TABLE numbers (n BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '50', 'fields.n.kind' = 'sequence', 'fields.n.start' = '1', 'fields.n.end' = '1000000');

-- %%
SELECT n FROM numbers;
"""
with open(folder + "/book.sql", "w") as file:
    file.write(NOTEBOOK)


def is_alive(process):
    try:
        with open(f"/proc/{process}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Follower:
    """A page that looks on."""

    def __init__(self, url):
        self.kernel, self.runs, self.outputs = None, {}, {}
        self.answer = urllib.request.urlopen(url + "/v1/notebooks/book.sql/events", timeout=60)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        event = None
        try:
            for line in self.answer:
                line = line.decode().rstrip("\n")
                if line.startswith("event: "):
                    event = line[7:]
                elif line.startswith("data: "):
                    value = json.loads(line[6:])
                    if event == "kernel":
                        self.kernel = value
                    elif event == "run":
                        self.runs[value["cell"]] = value
                    elif event == "output":
                        self.outputs[value["cell"]] = value
        except OSError:
            pass


def begin(daemon):
    """Runs all cells; returns the processes of the kernel and of the first cell."""
    if os.path.exists(folder + "/started"):
        os.remove(folder + "/started")
    page = Follower(daemon.url)
    assert daemon.request("POST", "/v1/notebooks/book.sql/run", {}).status == 202
    wait(lambda: page.runs.get("c3", {}).get("state") == "running" and page.outputs.get("c3", {}).get("rows"), 60)  # rows of the query
    wait(lambda: os.path.exists(folder + "/started") and open(folder + "/started").read().strip(), 20)  # the program
    processes = [page.kernel["process"], int(open(folder + "/started").read())]
    assert all(is_alive(p) for p in processes), processes
    return page, processes


daemon = Daemon(program, data, ["--notebooks", folder])
assert [n["path"] for n in daemon.get("/v1/notebooks")["notebooks"]] == ["book.sql"]
assert "/v1/notebooks/{path}/run" in daemon.get("/openapi.json")["paths"]

page, killed = begin(daemon)
first = page.outputs["c3"]["total"]
wait(lambda: page.outputs["c3"]["total"] > first, 20)  # the table to move on
daemon.kill()
wait(lambda: not any(is_alive(p) for p in killed), 20)  # the kernel to end behind a daemon that was killed

daemon.start()
page, stopped = begin(daemon)
assert daemon.stop() == 0
assert not any(is_alive(p) for p in stopped), "a kernel outlives the daemon that was stopped"

# Replaced by the program in its place: the kernel ends, the notebook is there again.
daemon.start()
page, replaced = begin(daemon)
daemon.process.send_signal(signal.SIGHUP)
wait(lambda: not any(is_alive(p) for p in replaced), 20)  # the kernel to end when the daemon is replaced
daemon.url = json.loads(daemon.process.stdout.readline())["url"]
page, killed = begin(daemon)
os.kill(killed[0], signal.SIGKILL)
wait(lambda: page.kernel["state"] == "dead" and page.runs["c3"]["state"] == "failed", 20)  # the page to say that the kernel is dead
wait(lambda: not is_alive(killed[1]), 20)  # its program to end
assert "signal 9" in page.kernel["text"], page.kernel
assert daemon.stop() == 0
print(json.dumps({"ok": True}))
