import Foundation
import JobControl
import Notebook
import PythonFunctions
import StreamCore
import struct StreamCore.Host
import StreamRuntime
import Synchronization

/// The Python of a notebook: one process, in which names stay from cell to cell.
final class PythonCells: Sendable {
    private let kernel: NotebookKernel
    private let channel: CellChannel
    private let process: CellProcess
    private let streams = Monitor(Streams())
    private let turn = NSLock()
    private let hasEnded = Mutex(false)

    /// What the program writes comes by two pipes beside the channel; marks in them say where a run's text ends.
    private struct Streams {
        var tell: (@Sendable (CellEvent) -> Void)?
        /// Text that may be the beginning of a mark.
        var held: [Bool: String] = [false: "", true: ""]
        var mark = ""
        var seen: Set<Bool> = []
    }

    init(_ kernel: NotebookKernel, executable: String, scratch: String) throws {
        self.kernel = kernel
        let (channel, end) = try CellChannel.pair(scratch: scratch)
        self.channel = channel
        let streams = streams
        let script = scratch + "/cells.py"
        try Host.system.replaceFile(script, Array(Self.program.utf8))
        guard let program = Self.find(executable) else {
            throw StreamError(.io, "there is no Python \"\(executable)\"", fix: "SET 'python.executable' to the path of a Python 3 with pyarrow, or set SWIFTWATER_PYTHON")
        }
        process = try CellProcess(program, ["-u", script], environment: kernel.environment.merging(["SWIFTWATER_SCRATCH": scratch]) { $1 }, input: end) { text, isError in
            Self.note(text, isError, streams)
        }
        let process = process
        Background.run { [weak self] in
            _ = process.wait()
            self?.hasEnded.withLock { $0 = true }
        }
    }

    var isAlive: Bool { !hasEnded.withLock { $0 } }

    func close() {
        channel.close()
        process.stop(atOnce: true)
    }

    private static func find(_ executable: String) -> String? {
        if executable.contains("/") { return access(executable, X_OK) == 0 ? executable : nil }
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin"
        return path.split(separator: ":").map { "\($0)/\(executable)" }.first { access($0, X_OK) == 0 }
    }

    private static func note(_ text: String, _ isError: Bool, _ streams: Monitor<Streams>) {
        streams.withLock { s in
            var all = s.held[isError]! + text
            if !s.mark.isEmpty, let at = all.range(of: s.mark) {
                s.seen.insert(isError)
                all.removeSubrange(at)
            }
            // A mark begins with a character that programs do not write.
            var kept = ""
            if let open = all.lastIndex(of: "\u{1}"), all[open...].count < 80 {
                kept = String(all[open...])
                all = String(all[..<open])
            }
            s.held[isError] = kept
            if !all.isEmpty { s.tell?(.text(all, isError: isError)) }
        }
        streams.broadcast()
    }

    func run(_ request: CellRequest, _ stop: CellStop, _ emit: @escaping @Sendable (CellEvent) -> Void) throws {
        turn.lock()
        defer { turn.unlock() }
        if stop.isStopped { return }
        let mark = "\u{1}end of run \(Host.system.uuid())\u{1}"
        streams.withLock { s in (s.tell, s.mark, s.seen, s.held) = (emit, mark, [], [false: "", true: ""]) }
        defer { streams.withLock { $0.tell = nil } }
        let process = process
        let action = stop.onStop { atOnce in if atOnce { process.stop(atOnce: true) } else { process.interrupt() } }
        if let time = request.time { stop.limit(after: time) }
        defer { stop.forget(action) }
        channel.send(.object([.init("op", .string("run")), .init("source", .string(request.source)), .init("line", .int(Int64(request.line))),
                              .init("file", .string(request.file ?? "<notebook>")), .init("mark", .string(mark))]))
        // One that came just before the program knew of the run would be lost.
        if stop.isStopped { process.interrupt() }
        let end = channel.serve(kernel, request, stop, emit)
        // The marks come by the pipes, soon after.
        let deadline = Clock.monotonicNanoseconds() + 2_000_000_000
        streams.wait { s -> Monitor<Streams>.Decision<Void> in
            let now = Clock.monotonicNanoseconds()
            if case .gone = end { return .take(()) }
            return s.seen.count == 2 || now >= deadline ? .take(()) : .wait(nanoseconds: deadline - now)
        }
        switch end {
        case .done: return
        case .gone:
            throw StreamError(.runtime, "Python ended while the cell ran", fix: "run the notebook again; names that cells had set are gone", at: SourceLocation(file: request.file, line: request.line, column: 1))
        case .failed(let text, let line):
            throw StreamError(.runtime, text, at: line.map { SourceLocation(file: request.file, line: $0, column: 1) })
        }
    }

    private static let program = #"""
        import ast, io, json, os, signal, socket, sys, threading, traceback

        channel = socket.socket(fileno=os.dup(0))
        os.close(0)
        os.open(os.devnull, os.O_RDONLY)
        reading = channel.makefile("r", encoding="utf-8", newline="\n")

        sending = threading.RLock()

        def send(**message):
            with sending:
                channel.sendall((json.dumps(message, default=str, allow_nan=False) + "\n").encode())

        class Text(io.TextIOBase):
            """What Python code prints: in its place among tables and charts."""
            def __init__(self, is_error, number):
                self.is_error, self.number, self.pending = is_error, number, ""
            encoding = "utf-8"
            def fileno(self): return self.number
            def writable(self): return True
            def write(self, text):
                with sending:
                    self.pending += text
                    if "\n" in text or len(self.pending) > 8192:
                        self.flush()
                return len(text)
            def flush(self):
                with sending:
                    text, self.pending = self.pending, ""
                    for start in range(0, len(text), 65536):
                        send(op="text", text=text[start:start + 65536], isError=self.is_error)

        sys.stdout, sys.stderr = Text(False, 1), Text(True, 2)

        # An interrupt ends what a cell does, but for a question to the kernel: its answer, which comes soon then, is still taken.
        running, asking, interrupted = False, False, False

        def on_interrupt(number, frame):
            global interrupted
            if running and not asking:
                raise KeyboardInterrupt
            interrupted = True

        def ask(**message):
            global asking, interrupted
            asking = True
            try:
                send(**message)
                answer = json.loads(reading.readline() or '{"error": "the kernel is gone"}')
            finally:
                asking = False
            if interrupted:
                interrupted = False
                raise KeyboardInterrupt
            if "error" in answer:
                raise RuntimeError(answer["error"])
            return answer

        def quoted(name):
            return "`" + name.replace("`", "``") + "`"

        def columns_of(schema):
            import pyarrow.types as t
            numeric = lambda x: t.is_integer(x) or t.is_floating(x) or t.is_decimal(x)
            return [{"name": f.name, "type": str(f.type), "isNumeric": bool(numeric(f.type))} for f in schema]

        def plain(value):
            if value is None or isinstance(value, (bool, int, str)):
                return value
            if isinstance(value, float):
                return value if value == value and abs(value) != float("inf") else str(value)
            return str(value)

        class Swiftwater:
            """The notebook's tables: z.sql("SELECT ..."), z.table("name"), z.show(rows), z.register("name", rows)."""

            def sql(self, text, rows=None, seconds=None):
                """The rows of a query as a pyarrow.Table; None for statements without rows. One that does not end needs rows= or seconds=."""
                if seconds is not None and not 0 < seconds <= 1e9:
                    raise ValueError(f"seconds={seconds} is no time to wait: give some seconds, as seconds=10")
                answer = ask(op="sql", text=text, format="arrow", rows=rows, seconds=seconds)
                if "path" not in answer:
                    return None
                import pyarrow as pa
                with pa.OSFile(answer["path"], "rb") as file:
                    table = pa.ipc.open_stream(file).read_all()
                os.unlink(answer["path"])
                return table

            execute = sql

            def table(self, name, rows=None, seconds=None):
                return self.sql("SELECT * FROM " + ".".join(quoted(part) for part in name.split(".")), rows, seconds)

            def pandas(self, text, rows=None, seconds=None):
                return self.sql(text, rows, seconds).to_pandas()

            def register(self, name, rows):
                """Rows of pyarrow or pandas become a temporary table that statements read."""
                import pyarrow as pa, pyarrow.parquet as pq, uuid
                table = rows if isinstance(rows, pa.Table) else pa.Table.from_pandas(rows, preserve_index=False)
                types = [(f.name, sql_type(f.type)) for f in table.schema]
                folder = os.path.join(os.environ["SWIFTWATER_SCRATCH"], "registered-" + uuid.uuid4().hex)
                os.makedirs(folder)
                path = os.path.join(folder, "rows.parquet")
                pq.write_table(table, path)
                ask(op="register", name=name, path=path, columns="(" + ", ".join(quoted(n) + " " + t for n, t in types) + ")")

            def show(self, value):
                display(value)

        def sql_type(t):
            import pyarrow.types as is_
            if is_.is_boolean(t): return "BOOLEAN"
            if is_.is_int8(t): return "TINYINT"
            if is_.is_int16(t): return "SMALLINT"
            if is_.is_int32(t): return "INT"
            if is_.is_integer(t): return "BIGINT"
            if is_.is_float32(t): return "FLOAT"
            if is_.is_floating(t): return "DOUBLE"
            if is_.is_decimal(t): return f"DECIMAL({t.precision}, {t.scale})"
            if is_.is_date(t): return "DATE"
            if is_.is_timestamp(t): return f"TIMESTAMP{'_LTZ' if t.tz else ''}({ {'s': 0, 'ms': 3, 'us': 6, 'ns': 9}[t.unit] })"
            if is_.is_binary(t) or is_.is_large_binary(t): return "BYTES"
            if is_.is_list(t) or is_.is_large_list(t): return f"ARRAY<{sql_type(t.value_type)}>"
            if is_.is_struct(t): return "ROW<" + ", ".join(f"{quoted(f.name)} {sql_type(f.type)}" for f in t) + ">"
            if is_.is_string(t) or is_.is_large_string(t): return "STRING"
            if is_.is_dictionary(t): return sql_type(t.value_type)
            if is_.is_null(t): return "STRING"
            raise TypeError(f"a column of type {t} has no SQL type; cast it first")

        shown_rows = 1000

        def display(value):
            if value is None:
                return
            sys.stdout.flush()
            arrow = sys.modules.get("pyarrow")
            pandas = sys.modules.get("pandas")
            if pandas is not None and isinstance(value, (pandas.DataFrame, pandas.Series)):
                frame = value.to_frame() if isinstance(value, pandas.Series) else value
                index = list(frame.index.names) != [None]
                frame = frame.reset_index() if index else frame
                part = frame.tail(shown_rows)
                columns = [{"name": str(n), "type": str(d), "isNumeric": d.kind in "iuf"} for n, d in zip(frame.columns, frame.dtypes)]
                missing = part.isna().values.tolist()
                rows = [[None if gone else plain(v.item() if hasattr(v, "item") else v) for v, gone in zip(row, nulls)] for row, nulls in zip(part.values.tolist(), missing)]
                return send(op="table", columns=columns, rows=rows, total=len(frame))
            if arrow is not None and isinstance(value, (arrow.Table, arrow.RecordBatch)):
                part = value.slice(max(0, value.num_rows - shown_rows))
                lists = [column.to_pylist() for column in part.columns]
                rows = [[plain(v) for v in row] for row in zip(*lists)]
                return send(op="table", columns=columns_of(value.schema), rows=rows, total=value.num_rows)
            figure = getattr(value, "figure", value)
            if hasattr(figure, "savefig"):
                import uuid
                path = os.path.join(os.environ["SWIFTWATER_SCRATCH"], uuid.uuid4().hex + ".png")
                figure.savefig(path, format="png")
                return send(op="image", type="image/png", path=path)
            for name, kind in (("_repr_png_", "image/png"), ("_repr_svg_", "image/svg+xml")):
                content = getattr(value, name, lambda: None)()
                if content:
                    import uuid
                    path = os.path.join(os.environ["SWIFTWATER_SCRATCH"], uuid.uuid4().hex)
                    open(path, "wb").write(content if isinstance(content, bytes) else content.encode())
                    return send(op="image", type=kind, path=path)
            content = getattr(value, "_repr_html_", lambda: None)()
            if content:
                return send(op="html", html=content)
            print(value if isinstance(value, str) else repr(value))

        class Result:
            def __init__(self, table): self.arrow = table
            def to_pandas(self): return self.arrow.to_pandas()
            def to_arrow(self): return self.arrow
            def print(self): display(self.arrow)
            def execute(self): return self

        class TableEnvironment:
            """The calls of PyFlink's table environment that notebooks use most."""
            def execute_sql(self, text): return Result(z.sql(text))
            def sql_query(self, text): return Result(z.sql(text))
            def from_path(self, name): return Result(z.table(name))

        z = Swiftwater()
        names = {"__name__": "__main__", "z": z, "display": display, "st_env": TableEnvironment(), "bt_env": TableEnvironment()}
        signal.signal(signal.SIGINT, on_interrupt)

        while True:
            line = reading.readline()
            if not line:
                break
            request = json.loads(line)
            if request.get("op") != "run":
                continue
            outcome = {"op": "done"}
            source = "\n" * (request["line"] - 1) + request["source"]
            interrupted, running = False, True
            try:
                tree = ast.parse(source, request["file"])
                last = None
                if tree.body and isinstance(tree.body[-1], ast.Expr):
                    last = ast.Expression(tree.body.pop().value)
                exec(compile(tree, request["file"], "exec"), names)
                if last is not None:
                    display(eval(compile(last, request["file"], "eval"), names))
            except KeyboardInterrupt:
                outcome = {"op": "failed", "text": "interrupted"}
            except SyntaxError as error:
                outcome = {"op": "failed", "text": "".join(traceback.format_exception_only(error)).strip(), "line": error.lineno}
            except SystemExit as error:
                if error.code:
                    outcome = {"op": "failed", "text": f"the cell ended Python with {error.code}"}
            except BaseException as error:
                frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == request["file"]]
                text = "".join(traceback.format_exception_only(error)).strip()
                if isinstance(error, ModuleNotFoundError) and error.name in ("pyarrow", "pandas"):
                    text += f" in {sys.executable}. Fix: install it there, or SET 'python.executable' (or SWIFTWATER_PYTHON) to a Python that has it"
                for f in frames:
                    text += f"\n    line {f.lineno}" + (f", in {f.name}" if f.name != "<module>" else "")
                outcome = {"op": "failed", "text": text, "line": frames[-1].lineno if frames else None}
            running = False
            for stream, number in ((sys.stdout, 1), (sys.stderr, 2)):
                try:
                    stream.flush()
                except Exception:
                    pass
                os.write(number, request["mark"].encode())
            send(**outcome)
        """#
}
