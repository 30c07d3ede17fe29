"""A stand-in for `swiftwater notebook kernel`: speaks its protocol, and shows what the words in a cell ask for.

    kernel.py kernel --data DIR --directory DIR

CREATE TABLE t     a message
SELECT status      a table of three rows, with the chart of the cell's @chart line
SELECT live        a table that changes ten times a second until it is stopped
SELECT many N      a table of N rows
wait               runs until it is stopped
wrong              fails at the line that has the word
die                writes to its log and dies by SIGKILL
echo TEXT          TEXT (%sh, %python)
flood N            N lines of text
leave              starts a program in a session of its own, and writes its number
huge N             an event of N MiB, and behind it a table
enormous           fails with a message of 17 MiB
picture, markup    an image, HTML with things that must not run
${name}            a message with the parameter's value
"""
import base64
import json
import os
import re
import signal
import struct
import subprocess
import sys
import threading
import time
import zlib

lock = threading.Lock()
stops = {}
out = sys.stdout


def send(event, **members):
    with lock:
        out.write(json.dumps({"event": event, **members}) + "\n")
        out.flush()


def chart(source):
    found = re.search(r"@chart (\w+)(.*)", source)
    if not found:
        return None
    options = dict(re.findall(r"(\w+)=(\"[^\"]*\"|\S+)", found[2]))
    return {"kind": found[1], "x": options.get("x"), "y": options["y"].split(",") if "y" in options else [], "group": options.get("group"), "title": options.get("title", "").strip('"') or None}


COLUMNS = [{"name": "status", "type": "STRING", "isNumeric": False}, {"name": "num", "type": "BIGINT", "isNumeric": True},
           {"name": "avg_current_temperature", "type": "DOUBLE", "isNumeric": True}]


def picture():
    """A PNG of 8 x 4 red points."""
    part = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + b"\xc0\x20\x20" * 8 for _ in range(4))
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", struct.pack(">IIBBBBB", 8, 4, 8, 2, 0, 0, 0)) + part(b"IDAT", zlib.compress(rows)) + part(b"IEND", b"")


def run(request, stop):
    number, source, begun = request["run"], request["source"], time.time()
    send("started", run=number, at=int(begun * 1000))
    state, error = "finished", None
    words = source
    for name in re.findall(r"\$\{(\w+)", source):
        send("message", run=number, text=f"{name} = {request['parameters'].get(name)}")
    created = re.search(r"CREATE TABLE (\w+)", words)
    if created:
        send("message", run=number, text=f"table {created[1]} created")
    if "SELECT status" in words:
        send("progress", run=number, rowsIn=1000, rowsOut=3, milliseconds=20)
        send("table", run=number, output=0, columns=COLUMNS, rows=[["OK", 61, 62.5], ["WARNING", 24, 120.25], ["ERROR", 15, 151]], total=3, chart=chart(source), isFinal=True)
    many = re.search(r"SELECT many (\d+)", words)
    if many:
        total = int(many[1])
        send("table", run=number, output=0, columns=COLUMNS[:2], rows=[[f"row {n}", n] for n in range(max(0, total - 1500), total)], total=total, chart=None, isFinal=True)
    if "SELECT live" in words:
        n, isStopped = 0, False
        while not isStopped:
            n += 1
            isStopped = stop.wait(0.1)
            send("table", run=number, output=0, columns=COLUMNS, rows=[["OK", 100 + n, 60 + n % 7 / 2], ["WARNING", 40, 120.25], ["ERROR", 7, 151.0]], total=3, chart=chart(source), isFinal=isStopped)
            if n % 10 == 0:
                send("progress", run=number, rowsIn=n * 100, rowsOut=n, milliseconds=int((time.time() - begun) * 1000))
        state = "stopped"
    if "leave" in words:
        program = subprocess.Popen(["sleep", "1000"], start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        send("text", run=number, text=str(program.pid), isError=False)
    if "wait" in words:
        stop.wait()
        state = "stopped"
    said = re.search(r"echo (.*)", words)
    if said:
        send("text", run=number, text=said[1] + "\n", isError=False)
        send("text", run=number, text="a warning\n", isError=True)
    flood = re.search(r"flood (\d+)", words)
    if flood:
        for n in range(int(flood[1])):
            send("text", run=number, text=f"line {n} of a long text that fills the page from top to bottom\n", isError=False)
    huge = re.search(r"huge (\d+)", words)
    if huge:
        send("html", run=number, output=0, html="x" * (int(huge[1]) << 20))
        send("table", run=number, output=1, columns=COLUMNS[:1], rows=[["behind it"]], total=1, chart=None, isFinal=True)
    if "enormous" in words:
        state, error = "failed", {"message": "x" * (17 << 20)}
    if "picture" in words:
        send("image", run=number, output=0, type="image/png", base64=base64.b64encode(picture()).decode())
    if "markup" in words:
        send("html", run=number, output=1, html='<h1>Frame</h1><table border="1" style="color:red"><tr><th>a</th></tr><tr><td>1</td></tr></table>'
             '<script>document.title="bad"</script><img src=x onerror="document.title=\'bad\'"><a href="javascript:document.title=1">link</a><svg viewBox="0 0 10 10"><rect width="5" height="5" fill="red" onclick="x()"/></svg>')
    if "wrong" in words:
        at = next(n for n, line in enumerate(source.split("\n")) if "wrong" in line)
        state, error = "failed", {"message": "column 'wrong' is not known. Fix: write \"status\".", "line": request["line"] + at, "column": source.split("\n")[at].index("wrong") + 1}
    if "die" in words.split():
        print("allocating 64 GiB\nout of memory", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    send("finished", run=number, state=state, milliseconds=int((time.time() - begun) * 1000), **({"error": error} if error else {}))
    stops.pop(number, None)


def main():
    send("ready", version="0.0.0")
    if os.environ.get("STUDIO_KERNEL_PIDS"):
        with open(os.environ["STUDIO_KERNEL_PIDS"], "a") as file:
            file.write(f"{os.getpid()}\n")
    waiting, arrived = [], threading.Condition()

    def work():
        while True:
            with arrived:
                while not waiting:
                    arrived.wait()
                request = waiting.pop(0)
            run(request, stops[request["run"]])

    threading.Thread(target=work, daemon=True).start()
    for line in sys.stdin:
        request = json.loads(line)
        match request["do"]:
            case "run":
                stops[request["run"]] = stop = threading.Event()
                if request.get("concurrent") or "@background" in request["source"]:
                    threading.Thread(target=run, args=(request, stop), daemon=True).start()
                else:
                    with arrived:
                        waiting.append(request)
                        arrived.notify()
            case "interrupt":
                for number, stop in list(stops.items()):
                    if request.get("run") in (None, number):
                        stop.set()
            case "complete":
                word = re.search(r"\w*$", request["source"][:request["at"]])[0]
                names = [("sensor_data", "table", ""), ("sensor_id", "column", "INT"), ("status", "column", "STRING"), ("SELECT", "keyword", "")]
                send("completions", run=request["run"], **{"from": request["at"] - len(word)},
                     items=[{"text": t, "kind": k, "detail": d} for t, k, d in names if t.lower().startswith(word.lower())])
            case "end":
                break


main()
