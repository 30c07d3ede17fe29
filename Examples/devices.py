#!/usr/bin/env python3
"""Routers that can only POST or PUT files: sends synthetic log files to the receiver of Topologies/devices.yaml, several devices at a time.

    python3 Examples/devices.py --url http://127.0.0.1:8090 --devices 20 --files 10 --lines 50

A file that is not acknowledged is sent again under the same Idempotency-Key, so that it counts once. Prints what each device sent as
one line of JSON: {"router-000": {"lines": 500, "errors": 27, "last_error": "..."}}
"""
import argparse
import datetime
import gzip
import http.client
import json
import random
import threading
import time
import urllib.parse
import uuid

ERRORS = ["WAN link down", "DHCP lease lost, retrying", "firmware checksum mismatch", 'client "kitchen" rejected', "radio overheated"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8090")
    parser.add_argument("--path", default="/devices/{device}/logs")
    parser.add_argument("--devices", type=int, default=20)
    parser.add_argument("--files", type=int, default=10, help="that each device sends")
    parser.add_argument("--lines", type=int, default=50, help="of a file, at most")
    parser.add_argument("--pause", type=float, default=0.0, help="seconds between two files of a device")
    parser.add_argument("--token")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--patience", type=float, default=60, help="seconds for which a file is sent again")
    options = parser.parse_args()
    address = urllib.parse.urlsplit(options.url)
    totals, failures = {}, []

    def send(connection, device, body, key, packed):
        headers = {"Content-Type": "text/csv", "Idempotency-Key": key}
        if options.token:
            headers["Authorization"] = "Bearer " + options.token
        if packed:
            headers["Content-Encoding"] = "gzip"
            body = gzip.compress(body)
        connection.request("PUT" if packed else "POST", options.path.replace("{device}", device), body, headers)
        answer = connection.getresponse()
        text = answer.read()
        return answer.status, text

    def run(number):
        device, chance = f"router-{number:03}", random.Random(options.seed * 1000 + number)
        total = totals[device] = {"lines": 0, "errors": 0, "last_error": None}
        connection = None
        for file in range(options.files):
            lines = []
            for _ in range(chance.randint(1, options.lines)):
                level = chance.choices(["INFO", "WARN", "ERROR"], [80, 15, 5])[0]
                message = f"{chance.choice(ERRORS)} #{uuid.UUID(int=chance.getrandbits(128)).hex[:8]}" if level == "ERROR" else "status ok"
                at = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
                quoted = message.replace('"', '""')
                lines.append(f'{at},{level},R{number % 3},{chance.randint(0, 100000)},{chance.randint(0, 1000000)},"{quoted}"\n')
                total["lines"] += 1
                if level == "ERROR":
                    total["errors"] += 1
                    total["last_error"] = message
            body, key, deadline = "".join(lines).encode(), f"{device}-{options.seed}-{file}", time.monotonic() + options.patience
            while True:
                try:
                    if connection is None:
                        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=30)
                    status, text = send(connection, device, body, key, chance.random() < 0.3)
                    if status == 200:
                        break
                    problem = f"status {status}: {text!r}"
                    # A refusal ends the connection.
                    connection.close()
                    connection = None
                    if status not in (408, 429, 500, 503):
                        failures.append(f"{device}: {problem}")
                        return
                except (OSError, http.client.HTTPException) as error:
                    problem = repr(error)
                    if connection is not None:
                        connection.close()
                    connection = None
                if time.monotonic() > deadline:
                    failures.append(f"{device}: {problem}")
                    return
                time.sleep(0.05)
            time.sleep(options.pause)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(options.devices)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise SystemExit("\n".join(failures[:10]))
    print(json.dumps(totals))


main()
