import Foundation
import StreamCore
import StreamExpressions
import StreamOperators
import StreamSQL
import Synchronization

/// How Python functions are run.
public struct PythonOptions: Hashable, Sendable {
    /// A path, or a name that is looked up in PATH.
    public var executable: String
    /// Folders and files that modules are loaded from, beside the working directory.
    public var path: [String]
    /// Longest wait for the answer to one batch, in milliseconds.
    public var timeout: Int

    public init(executable: String = PythonOptions.defaultExecutable, path: [String] = [], timeout: Int = 300_000) {
        self.executable = executable
        self.path = path
        self.timeout = timeout
    }

    /// SWIFTWATER_PYTHON, the Python of the virtual environment that is active or lies in `.venv`, or python3.
    public static var defaultExecutable: String {
        let environment = ProcessInfo.processInfo.environment
        if let named = environment["SWIFTWATER_PYTHON"] { return named }
        let found = [environment["VIRTUAL_ENV"].map { $0 + "/bin/python" }, ".venv/bin/python"].compactMap { $0 }
        return found.first { FileManager.default.isExecutableFile(atPath: $0) } ?? "python3"
    }
}

/// A function of a Python module. What it takes and gives is asked of Python when it is first called for.
final class PythonFunction: Sendable {
    /// What the worker says of a function.
    struct Description: Sendable {
        var isTable: Bool, vectorized: String
        /// SQL type, nil = any; whether null is passed on.
        var inputs: [(type: DataType?, takesNull: Bool)]
        var required: Int, variadic: Bool
        var results: [DataType], names: [String]?
        var isDeterministic: Bool
    }

    let name: String
    private let identifier: String
    private let options: PythonOptions
    private struct State {
        var description: Description?
        /// Workers that nobody uses at the moment: each thread that calls the function takes one.
        var idle: [Signature: [PythonWorker]] = [:]
    }
    /// SAFETY: workers are only ever used by the thread that took them out.
    private struct Guarded: @unchecked Sendable { var state = State() }
    private let guarded = Mutex(Guarded())

    /// Types of the rows that a worker was told to make.
    struct Signature: Hashable, Sendable { var results: [DataType] }

    init(name: String, identifier: String, options: PythonOptions) {
        self.name = name.uppercased()
        self.identifier = identifier
        self.options = options
    }

    // MARK: description

    func description() throws -> Description {
        if let known = guarded.withLock({ $0.state.description }) { return known }
        let worker = try start().description
        guarded.withLock { $0.state.description = worker }
        return worker
    }

    private func start() throws -> (worker: PythonWorker, description: Description) {
        let worker = try PythonWorker(name: name, executable: options.executable, timeout: options.timeout)
        let config = try JSONSerialization.data(withJSONObject: ["function": identifier, "path": options.path])
        try worker.send("C", Array(config))
        let (kind, content) = try worker.receive()
        guard kind == "D" else { throw worker.failure(content) }
        struct Answer: Decodable {
            struct Input: Decodable {
                var type: String?, takesNull: Bool
                init(from decoder: any Decoder) throws {
                    var parts = try decoder.unkeyedContainer()
                    type = try parts.decodeNil() ? nil : parts.decode(String.self)
                    takesNull = try parts.decode(Bool.self)
                }
            }
            var table: Bool, vectorized: String, inputs: [Input], required: Int, variadic: Bool, results: [String?]?, names: [String]?, deterministic: Bool
        }
        let answer = try JSONDecoder().decode(Answer.self, from: Data(content))
        guard let results = answer.results, !results.isEmpty, results.allSatisfy({ $0 != nil }) else {
            throw StreamError(.validate, "\(name): nothing tells the type of what the Python function \(identifier) gives",
                              fix: "annotate what it returns (-> int), or decorate it: @udf(result_type=\"BIGINT\")")
        }
        return (worker, Description(
            isTable: answer.table, vectorized: answer.vectorized, inputs: try answer.inputs.map { (try $0.type.map(type), $0.takesNull) },
            required: answer.required, variadic: answer.variadic, results: try results.map { try type($0!) }, names: answer.names,
            isDeterministic: answer.deterministic))
    }

    private func type(_ text: String) throws -> DataType {
        do { return try SQLParser(text: text).parseType().0 } catch let error as StreamError {
            throw StreamError(.validate, "\(name): the Python function \(identifier) names the type '\(text)': \(error.problem)", fix: error.fix)
        }
    }

    /// The arguments of a call, cast to what the function takes.
    func arguments(_ args: [Expr]) throws -> (args: [Expr], signature: FunctionSignature) {
        let description = try description()
        let most = description.variadic ? Int.max : description.inputs.count
        guard (description.required...max(most, description.required)).contains(args.count) else {
            let takes = description.required == most ? "\(most)" : description.variadic ? "at least \(description.required)" : "\(description.required) to \(most)"
            throw StreamError(.validate, "\(name) takes \(takes) argument\(takes == "1" ? "" : "s"), \(args.count) given")
        }
        var types: [DataType] = [], takesNull: [Bool] = []
        for (i, arg) in args.enumerated() {
            let input = description.inputs.indices.contains(i) ? description.inputs[i] : (type: nil, takesNull: true)
            var type = input.type ?? arg.type
            if type == .null { throw Binding.bareNull(name) }
            if type.isText { type = .string }
            if type.isBinary { type = .bytes }
            guard Self.canPass(type) else {
                throw StreamError(.validate, "\(name): a \(type) cannot be given to Python", fix: "write CAST(... AS STRING), or JSON_STRING(...) for a VARIANT")
            }
            types.append(type)
            takesNull.append(input.takesNull)
        }
        var signature = FunctionSignature(types: types)
        signature.acceptsNull = takesNull
        return (try signature.bind(name, args), signature)
    }

    private static func canPass(_ type: DataType) -> Bool {
        switch type {
        case .variant, .intervalDayTime, .intervalYearMonth, .null: false
        case .array(let element): canPass(element)
        case .map(let key, let value): canPass(key) && canPass(value)
        case .row(let fields): fields.allSatisfy { canPass($0.type) }
        default: true
        }
    }

    // MARK: calls

    /// Calls the function for all rows of `columns`. A table function's last column holds the numbers of the calls.
    func call(_ columns: [Column], count: Int) throws -> (columns: [Column], count: Int) {
        let description = try description()
        let results = description.results + (description.isTable ? [.int] : [])
        let signature = Signature(results: results)
        let worker = try take(signature, description)
        let schema = columns.enumerated().map { Field("a\($0)", $1.type) }
        try worker.send("B", ArrowStreamWriter.stream(schema, columns, count: count))
        let (kind, content) = try worker.receive()
        guard kind == "R" else {
            put(worker, signature)
            throw worker.failure(content)
        }
        let answer = try ArrowStreamReader.columns(content, results)
        put(worker, signature)
        return answer
    }

    private func take(_ signature: Signature, _ description: Description) throws -> PythonWorker {
        if let idle = guarded.withLock({ $0.state.idle[signature]?.popLast() }) { return idle }
        let worker = try start().worker
        try worker.send("S", ArrowStreamWriter.stream(signature.results.enumerated().map { Field("r\($0)", $1) }, nil, count: 0))
        let config = try JSONSerialization.data(withJSONObject: ["table": description.isTable, "vectorized": description.vectorized])
        try worker.send("C", Array(config))
        return worker
    }

    private func put(_ worker: PythonWorker, _ signature: Signature) {
        guarded.withLock { $0.state.idle[signature, default: []].append(worker) }
    }
}

// MARK: binding

extension PythonFunction {
    func scalarCall(_ args: [Expr]) throws -> Expr {
        let description = try description()
        guard !description.isTable else {
            throw StreamError(.validate, "\(name) is a table function", fix: "write FROM ..., LATERAL TABLE(\(name)(...)) AS t(column)")
        }
        guard description.results.count == 1 else { throw StreamError(.validate, "\(name) is declared with \(description.results.count) results", fix: "make it a table function with @udtf") }
        let (bound, signature) = try arguments(args)
        let type = description.results[0]
        let kernel = Kernels.lenient { args, rows, _ in
            let columns = args.map { $0.flat() }
            var wanted: [Int32] = []
            signature.rows(rows, columns).forEach { wanted.append(Int32(truncatingIfNeeded: $0)) }
            if wanted.isEmpty { return .nulls(type: type, count: rows.count) }
            let isWhole = wanted.count == rows.count
            let made = try self.call(isWhole ? columns : columns.map { $0.picked(wanted) }, count: wanted.count)
            guard made.count == wanted.count else { throw StreamError(.runtime, "\(self.name) gave \(made.count) values for \(wanted.count) rows") }
            return isWhole ? made.columns[0] : made.columns[0].spread(to: wanted, count: rows.count)
        }
        return .call(BoundFunction(name: name, resultType: type, isDeterministic: false, kernel: kernel), bound)
    }

    func tableCall(_ args: [Expr]) throws -> RowFunctionRegistry.Bound {
        let description = try description()
        guard description.isTable else { throw StreamError(.validate, "\(name) is no table function", fix: "call it in SELECT, or decorate it with @udtf") }
        let (bound, signature) = try arguments(args)
        let names = description.names ?? description.results.indices.map { "f\($0)" }
        guard names.count == description.results.count else {
            throw StreamError(.validate, "\(name) gives rows of \(description.results.count) columns, but names \(names.count)", fix: "give @udtf as many names as result types")
        }
        let function = RowFunction(name: name, resultTypes: description.results, isDeterministic: description.isDeterministic) { _ in
            Calls(function: self, signature: signature)
        }
        return .init(function: function, arguments: bound, columns: zip(names, description.results).map { Field($0, $1) })
    }

    private final class Calls: RowFunctionInstance {
        private let function: PythonFunction
        private let signature: FunctionSignature
        init(function: PythonFunction, signature: FunctionSignature) { (self.function, self.signature) = (function, signature) }

        func call(_ arguments: [Column], count: Int) throws -> (columns: [Column], calls: [Int32]) {
            let columns = arguments.map { $0.flat() }
            var wanted: [Int32] = []
            signature.rows(RowSet(nil, count: count), columns).forEach { wanted.append(Int32(truncatingIfNeeded: $0)) }
            let made = try function.call(wanted.count == count ? columns : columns.map { $0.picked(wanted) }, count: wanted.count)
            let numbers = made.columns.last!.pointer(as: Int32.self)
            let calls = try (0..<made.count).map { row -> Int32 in
                guard wanted.indices.contains(Int(numbers[row])) else { throw ArrowStreamReader.damaged("a row belongs to no call") }
                return wanted[Int(numbers[row])]
            }
            return (Array(made.columns.dropLast()), calls)
        }
    }
}

extension Column {
    fileprivate func picked(_ rows: [Int32]) -> Column {
        rows.withUnsafeBufferPointer { $0.isEmpty ? ColumnBuilder(type: type).finish() : gather($0.baseAddress!, count: $0.count) }
    }

    /// Row i of this column as row `rows[i]` of `count`; the others are null.
    fileprivate func spread(to rows: [Int32], count: Int) -> Column {
        var source = [Int32](repeating: 0, count: count)
        let validity = Bitmap.make(count, valid: false)
        for (i, row) in rows.enumerated() {
            source[Int(row)] = Int32(truncatingIfNeeded: i)
            if isValid(i) { Bitmap.set(validity.base, Int(row)) }
        }
        let all = picked(source)
        return Column(type: type, count: count, validity: validity, values: all.values, heaps: all.heaps, children: all.children)
    }
}
