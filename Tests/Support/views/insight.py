"""Scenario 13 from a client's side: logs are posted, and the per-device view is read by key and as a stream of events.

    insight.py RECEIVER VIEWS ROUNDS DEVICES

For each round: from the moment a POST is sent until a GET of the device shows its error, and until the stream of changes does.
Prints {"posts": n, "get": [seconds...], "stream": [seconds...], "requests": [seconds of a single GET...]} as one line.
"""
import datetime
import http.client
import json
import sys
import threading
import time
import urllib.parse
import urllib.request


def stream(url, arrived, ready, stop):
    request = urllib.request.Request(url, headers={"Accept": "text/event-stream"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream"), answer.headers
        event = {}
        ready.set()
        for line in answer:
            line = line.decode().rstrip("\n")
            if line.startswith(":"):
                continue
            if not line:
                if event.get("event") == "change":
                    data = json.loads(event["data"])
                    if data["row"] and data["row"]["last_error"]:
                        arrived[data["row"]["last_error"]] = time.monotonic()
                event = {}
                if stop.is_set():
                    return
                continue
            field, _, value = line.partition(":")
            event[field] = value.strip()


def main():
    receiver, views, rounds, devices = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    arrived, ready, stop = {}, threading.Event(), threading.Event()
    thread = threading.Thread(target=stream, args=(views + "/device_now/changes", arrived, ready, stop), daemon=True)
    thread.start()
    assert ready.wait(20)
    post, get = (http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=30) for url in (receiver, views))
    base = urllib.parse.urlsplit(views).path
    seen, sent, single, errors = [], {}, [], {}
    for number in range(rounds):
        device, message = f"router {number % devices}/ä", f"WAN link down, try {number}"
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        body = f'{now},INFO,R1,1,2,ok\n{now},ERROR,R1,1,2,"{message}"\n{now},INFO,R1,1,2,ok\n'
        errors[device] = errors.get(device, 0) + 1
        start = sent[message] = time.monotonic()
        post.request("POST", f"/devices/{urllib.parse.quote(device, safe='')}/logs", body.encode(), {"Content-Type": "text/csv"})
        answer = post.getresponse()
        text = answer.read()
        assert answer.status == 200, (answer.status, text)
        while True:
            asked = time.monotonic()
            get.request("GET", f"{base}/device_now/{urllib.parse.quote(device, safe='')}")
            answer = get.getresponse()
            text = answer.read()
            single.append(time.monotonic() - asked)
            assert answer.status in (200, 404), (answer.status, text)
            if answer.status == 200:
                row = json.loads(text)["row"]
                if row["last_error"] == message:
                    # A quarter of an hour may begin meanwhile.
                    assert row["errors"] <= errors[device] and row["device"] == device, row
                    break
            assert time.monotonic() - start < 30, (device, text)
            time.sleep(0.002)
        seen.append(time.monotonic() - start)
    deadline = time.monotonic() + 20
    while len(arrived) < rounds and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(arrived) == rounds, (len(arrived), rounds)
    stop.set()
    print(json.dumps({"posts": rounds, "get": sorted(seen), "stream": sorted(arrived[m] - sent[m] for m in sent), "requests": sorted(single)}))


main()
