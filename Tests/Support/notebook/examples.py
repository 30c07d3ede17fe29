"""Runs every notebook of a directory as a newcomer does, each in a data directory of its own, and judges what it shows.

    examples.py BINARY EXAMPLES_DIR [NAME ...]

Of each: `notebook run --scratch` succeeds, says the same in its JSON, and leaves nothing behind; its checker in examples_a.py or examples_b.py finds the
results right; jupytext makes a notebook of it and the same bytes of that, and so does `notebook convert`, by way of .ipynb and of .zpln.
Prints seconds of the plain runs, and as the last line {"notebooks": ..., "seconds": ...}; what differs ends it with status 1.
"""
import concurrent.futures
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

here = os.path.dirname(os.path.abspath(__file__))
binary, examples, wanted = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]), sys.argv[3:]
checkers = {
    "examples_a.py": ["sensors", "orders", "insurance", "schema-evolution", "late-data", "semistructured"],
    "examples_b.py": ["logs", "kafka-mirror", "device-insights", "score-card", "time-travel", "nexmark"],
}
names = wanted or sorted(file[:-4] for file in os.listdir(examples) if file.endswith(".sql"))
problems = []


def text(path):
    with open(path, encoding="utf-8", newline="") as file:
        return file.read()


def path(name):
    return os.path.join(examples, name + ".sql")


def run(name, directory):
    """The seconds of a plain run in an empty directory."""
    work, scratch, output = (os.path.join(directory, part) for part in ("work", "tmp", "out.json"))
    os.mkdir(work)
    os.mkdir(scratch)
    # The data directory is what --scratch makes, whatever the surroundings say.
    environment = {k: v for k, v in os.environ.items() if k != "SWIFTWATER_DATA"} | {"TMPDIR": scratch}
    begun = time.monotonic()
    try:
        done = subprocess.run([binary, "notebook", "run", path(name), "--scratch", "--quiet", "--output", "json=" + output], cwd=work, env=environment,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        problems.append(f"{name}: does not end within 120 s")
        return 120.0
    seconds = time.monotonic() - begun
    if done.returncode != 0:
        problems.append(f"{name}: status {done.returncode}\n{done.stdout[-1500:]}{done.stderr[-1500:]}")
        return seconds
    result = json.loads(text(output))
    states = {c.get("title", f"cell {c['cell'] + 1}"): c["state"] for c in result["cells"] if "state" in c}
    # A query without an end, and what runs in the background, is stopped.
    if result["state"] not in ("finished", "stopped") or not states or not set(states.values()) <= {"finished", "stopped"}:
        problems.append(f"{name}: {result['state']}, {states}")
    for kind, left in (("its directory", os.listdir(work)), ("the directory for temporary files", os.listdir(scratch))):
        if left:
            problems.append(f"{name}: leaves {left} in {kind}")
    return seconds


def check(name, directory):
    script = next((s for s, known in checkers.items() if name in known), None)
    if script is None:
        return f"{name}: no checker knows it; add one to examples_a.py or examples_b.py"
    try:
        done = subprocess.run([sys.executable, os.path.join(here, script), binary, name, directory], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240)
    except subprocess.TimeoutExpired:
        return f"{name}: its checker does not end within 240 s"
    return None if done.returncode == 0 else f"{name}: {script} says\n{done.stdout[-500:]}{done.stderr[-3000:]}"


def convert(name, directory):
    for ending in ("ipynb", "zpln"):
        there, back = (os.path.join(directory, f"{ending}.{e}") for e in (ending, "sql"))
        for source, target in ((path(name), there), (there, back)):
            done = subprocess.run([binary, "notebook", "convert", source, target, "--force"], capture_output=True, text=True)
            if done.returncode != 0:
                return f"{name}: convert {os.path.basename(source)} to {os.path.basename(target)}: {done.stderr}"
        if text(back) != text(path(name)):
            return f"{name}: by way of .{ending} it becomes another text, from line {first_difference(text(back), text(path(name)))} on"
    return None


def first_difference(a, b):
    pairs = list(zip(a.splitlines() + [None], b.splitlines() + [None]))
    return next((i + 1 for i, (x, y) in enumerate(pairs) if x != y), len(pairs))


def jupytext():
    forms = [(name, form) for name in names for form in ("lua", "sql")]
    tasks = [{"do": "roundtrip", "text": text(path(name)), "form": form} for name, form in forms]
    done = subprocess.run([sys.executable, os.path.join(here, "judge.py")], input=json.dumps(tasks), capture_output=True, text=True, check=True)
    for (name, form), answer in zip(forms, json.loads(done.stdout.splitlines()[-1])):
        if "error" in answer:
            problems.append(f"{name}: jupytext ({form}:percent) says {answer['error']}")
        elif answer["text"] != text(path(name)):
            problems.append(f"{name}: jupytext ({form}:percent) makes another text of it, from line {first_difference(answer['text'], text(path(name)))} on")


for name in set(checkers["examples_a.py"] + checkers["examples_b.py"]) - set(names) if not wanted else ():
    problems.append(f"{name}: is not among the examples")
directory = tempfile.mkdtemp(prefix="swiftwater-examples-")
try:
    seconds = {}
    for name in names:
        for kind in ("run", "check"):
            os.makedirs(os.path.join(directory, kind, name))
        seconds[name] = run(name, os.path.join(directory, "run", name))
        print(f"{name:20} {seconds[name]:5.1f} s", flush=True)
    print(f"{'together':20} {sum(seconds.values()):5.1f} s", flush=True)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(check, name, os.path.join(directory, "check", name)) for name in names]
        futures += [pool.submit(convert, name, os.path.join(directory, "run", name)) for name in names]
        problems += [p for p in (f.result() for f in futures) if p]
    jupytext()
finally:
    shutil.rmtree(directory, ignore_errors=True)
if problems:
    sys.exit("\n".join(problems))
print(json.dumps({"notebooks": len(names), "seconds": round(sum(seconds.values()), 1)}))
