"""Reads scripts and notebooks as jupytext and nbformat do, many at a time.

Standard input: a JSON list of {"do": ..., "text": ...}; the last line of standard output is a JSON list of answers.
jupytext knows no SQL. Its Lua scripts have the same comments, so that is what an unchanged jupytext is told the scripts are ("lua");
"sql" is the same program with `.sql` entered in its table of languages.
"""
import importlib.util
import json
import sys
import types


def with_sql():
    """jupytext with one more language: its table is changed before the rest of the package reads it."""
    spec = importlib.util.find_spec("jupytext")
    package = types.ModuleType("jupytext")
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules["jupytext"] = package
    languages = importlib.import_module("jupytext.languages")
    languages._SCRIPT_EXTENSIONS[".sql"] = {"language": "sql", "comment": "--"}
    languages._COMMENT["sql"] = "--"
    del sys.modules["jupytext"]


with_sql()
import jupytext  # noqa: E402
import nbformat  # noqa: E402


def cells(notebook):
    return [{"kind": c.cell_type, "source": c.source, "metadata": c.metadata} for c in notebook.cells]


def answer(task):
    do, text, form = task["do"], task["text"], task.get("form", "lua") + ":percent"
    if do == "read":
        return {"cells": cells(jupytext.reads(text, fmt=form))}
    if do == "roundtrip":
        notebook = jupytext.reads(text, fmt=form)
        file = nbformat.writes(notebook)
        nbformat.validate(nbformat.reads(file, as_version=4))
        return {"cells": cells(notebook), "ipynb": file, "text": jupytext.writes(nbformat.reads(file, as_version=4), fmt=form)}
    if do == "validate":
        notebook = nbformat.reads(text, as_version=4)
        nbformat.validate(notebook)
        return {"cells": cells(notebook), "canonical": nbformat.writes(notebook), "metadata": notebook.metadata}
    if do == "toscript":
        return {"text": jupytext.writes(nbformat.reads(text, as_version=4), fmt=form)}
    raise ValueError(do)


def safely(task):
    try:
        return answer(task)
    except Exception as problem:  # the test says which task it was
        return {"error": f"{type(problem).__name__}: {problem}"}


print(json.dumps([safely(task) for task in json.load(sys.stdin if len(sys.argv) < 2 else open(sys.argv[1], encoding="utf-8"))]))
