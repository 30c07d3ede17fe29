/// The program that runs in a Python worker. It comes on the command line, so that nothing need be installed beside pyarrow.
enum WorkerScript {
    static let text = #"""
        import os, sys, json, struct, traceback

        requests = os.fdopen(os.dup(0), "rb", buffering=1 << 20)
        answers = os.fdopen(os.dup(1), "wb", buffering=1 << 20)
        # What functions print goes to the engine's standard error.
        os.dup2(2, 1)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)


        def answer(kind, payload):
            answers.write(struct.pack("<cI", kind, len(payload)))
            answers.write(payload)
            answers.flush()


        def refuse(kind, message, **more):
            answer(b"E", json.dumps({"kind": kind, "message": message, **more}).encode())


        def request():
            head = requests.read(5)
            if len(head) < 5:
                os._exit(0)
            kind, size = struct.unpack("<cI", head)
            return kind, requests.read(size)


        kind, payload = request()
        config = json.loads(payload)
        try:
            import pyarrow as pa
        except ImportError as error:
            refuse("pyarrow", str(error))
            os._exit(0)

        import datetime, decimal, importlib, inspect, types, typing

        module = types.ModuleType("swiftwater_udf")
        module.__doc__ = "Types of functions that run in Swiftwater: see @udf and @udtf."


        def marker(is_table):
            def decorator(function=None, *, input_types=None, result_type=None, result_types=None, names=None, func_type="general",
                          deterministic=True):
                def mark(f):
                    f.__swiftwater__ = dict(table=is_table, inputs=input_types, results=result_types or result_type, names=names,
                                            func_type=func_type, deterministic=deterministic)
                    return f
                return mark(function) if function is not None else mark
            return decorator


        module.udf, module.udtf = marker(False), marker(True)
        sys.modules["swiftwater_udf"] = module
        sys.path[:0] = config["path"] + [os.getcwd()]

        PLAIN = {bool: "BOOLEAN", int: "BIGINT", float: "DOUBLE", str: "STRING", bytes: "BYTES", datetime.date: "DATE",
                 datetime.time: "TIME(3)", datetime.datetime: "TIMESTAMP(3)", decimal.Decimal: "DECIMAL(38, 18)"}


        def sql_type(hint):
            """(SQL type or None, may be None) of an annotation"""
            if isinstance(hint, str):
                return hint, True
            if hint in PLAIN:
                return PLAIN[hint], False
            origin, arguments = typing.get_origin(hint), typing.get_args(hint)
            if origin in (typing.Union, types.UnionType):
                rest = [a for a in arguments if a is not type(None)]
                if len(rest) == 1:
                    return sql_type(rest[0])[0], True
            if origin is list and arguments:
                inner = sql_type(arguments[0])[0]
                return (f"ARRAY<{inner}>" if inner else None), False
            if origin is dict and arguments:
                key, value = sql_type(arguments[0])[0], sql_type(arguments[1])[0]
                return (f"MAP<{key}, {value}>" if key and value else None), False
            return None, True


        def listed(types_):
            return [types_] if isinstance(types_, str) else list(types_)


        def describe(f):
            marks = getattr(f, "__swiftwater__", {})
            call = f if not inspect.isclass(f) else f.eval
            try:
                hints = typing.get_type_hints(call)
            except Exception:
                hints = getattr(call, "__annotations__", {})
            parameters = [p for p in inspect.signature(call).parameters.values()]
            variadic = any(p.kind == p.VAR_POSITIONAL for p in parameters)
            plain = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
            required = sum(p.default is p.empty for p in plain)
            if marks.get("inputs") is not None:
                inputs = [[t, True] for t in listed(marks["inputs"])]
            else:
                inputs = [list(sql_type(hints[p.name])) if p.name in hints else [None, True] for p in plain]
            returned = hints.get("return")
            is_table = marks.get("table", False) or inspect.isgeneratorfunction(call)
            vectorized = marks.get("func_type", "general")
            if vectorized == "general" and inspect.isclass(returned) and issubclass(returned, (pa.Array, pa.ChunkedArray)):
                vectorized = "arrow"
            results = marks.get("results")
            if results is None and returned is not None:
                if is_table:
                    inner = typing.get_args(returned)
                    inner = inner[0] if inner else None
                    parts = typing.get_args(inner) if typing.get_origin(inner) is tuple else (inner,)
                    results = [sql_type(p)[0] if p is not None else None for p in parts]
                else:
                    results = [sql_type(returned)[0]]
            results = None if results is None else listed(results)
            return dict(table=is_table, vectorized=vectorized, inputs=inputs, required=required if marks.get("inputs") is None else len(inputs),
                        variadic=variadic, results=results, names=marks.get("names"), deterministic=marks.get("deterministic", True))


        try:
            path = config["function"].split(".")
            target = importlib.import_module(".".join(path[:-1]))
            function = getattr(target, path[-1])
            answer(b"D", json.dumps(describe(function)).encode())
            instance = function() if inspect.isclass(function) else None
            call = instance.eval if instance is not None else function
        except BaseException as error:
            refuse("load", f"{type(error).__name__}: {error}", traceback=traceback.format_exc())
            os._exit(0)


        class Failed(Exception):
            def __init__(self, row, values, error):
                self.row, self.values, self.error = row, values, error


        def rows_of(batch):
            return list(zip(*[column.to_pylist() for column in batch.columns])) if batch.num_columns else [()] * batch.num_rows


        def array(values, target, rows):
            try:
                return pa.array(values, type=target)
            except Exception as error:
                for i, value in enumerate(values):
                    try:
                        pa.array([value], type=target)
                    except Exception as own:
                        raise Failed(i, rows[i], TypeError(f"returned {value!r}, which is no {target}: {own}")) from None
                raise error


        def scalar(batch, schema):
            target = schema.field(0).type
            if config["vectorized"] != "general":
                columns = [c.to_pandas() for c in batch.columns] if config["vectorized"] == "pandas" else batch.columns
                result = call(*columns)
                if isinstance(result, pa.ChunkedArray):
                    result = result.combine_chunks()
                if not isinstance(result, pa.Array):
                    result = pa.array(result, from_pandas=config["vectorized"] == "pandas")
                if result.type != target:
                    result = result.cast(target)
                if len(result) != batch.num_rows:
                    raise ValueError(f"returned {len(result)} values for {batch.num_rows} rows")
                return [result]
            rows, values = rows_of(batch), []
            for i, row in enumerate(rows):
                try:
                    values.append(call(*row))
                except BaseException as error:
                    raise Failed(i, row, error)
            return [array(values, target, rows)]


        def table(batch, schema):
            width, columns, calls, sources = len(schema) - 1, [[] for _ in range(len(schema) - 1)], [], []
            for i, row in enumerate(rows_of(batch)):
                try:
                    made = call(*row)
                    for part in (() if made is None else made):
                        part = part if isinstance(part, (tuple, list)) and (width > 1 or isinstance(part, tuple)) else (part,)
                        if len(part) != width:
                            raise TypeError(f"gave a row of {len(part)} values, but it is declared with {width}")
                        for column, value in zip(columns, part):
                            column.append(value)
                        calls.append(i)
                        sources.append(row)
                except BaseException as error:
                    raise Failed(i, row, error)
            return [array(c, schema.field(k).type, sources) for k, c in enumerate(columns)] + [pa.array(calls, type=pa.int32())]


        schema = None
        while True:
            kind, payload = request()
            if kind == b"S":
                schema = pa.ipc.open_stream(payload).schema
                config.update(json.loads(request()[1]))
                continue
            try:
                batch = pa.ipc.open_stream(payload).read_next_batch()
                made = pa.RecordBatch.from_arrays((table if config["table"] else scalar)(batch, schema), schema=schema)
                sink = pa.BufferOutputStream()
                with pa.ipc.new_stream(sink, schema) as writer:
                    writer.write_batch(made)
                answer(b"R", sink.getvalue())
            except Failed as failed:
                error = failed.error
                refuse("call", f"{type(error).__name__}: {error}", row=failed.row, values=[repr(v) for v in failed.values],
                       traceback="".join(traceback.format_exception(error)))
            except BaseException as error:
                refuse("call", f"{type(error).__name__}: {error}", traceback=traceback.format_exc())
        """#
}
