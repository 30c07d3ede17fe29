import StreamCore
import StreamExpressions
import StreamOperators
import StreamSQL
import Synchronization

/// `CREATE FUNCTION f AS 'module.function' LANGUAGE PYTHON`.
///
/// Types come from annotations (int BIGINT, float DOUBLE, str STRING, bool, bytes, datetime's and decimal's classes, list[T], dict[K, V],
/// T | None for what takes null), or from decorators of the module `swiftwater_udf`, which every worker has:
///
///     @udf(input_types=["INT", "STRING"], result_type="ARRAY<STRING>")
///     @udf(result_type="DOUBLE", func_type="pandas")      # or "arrow": called with whole columns
///     @udtf(result_types=["STRING", "BIGINT"], names=["word", "length"])
///
/// A generator is a table function. Functions run in worker processes, one for each subtask that calls them.
public final class PythonFunctions: Sendable {
    private struct Key: Hashable { var name: String, identifier: String, options: PythonOptions }
    private let known = Mutex<[Key: PythonFunction]>([:])

    public init() {}

    /// Lets a session's catalog run the functions that are declared as Python. Settings: `python.executable`, `python.files` (paths with commas
    /// between), `python.worker.timeout`.
    public func install(on session: SQLSession) {
        let next = session.catalog.functionResolver
        session.catalog.functionResolver = { [weak session] function, registry in
            guard function.language == .python else { return try next?(function, registry) ?? registry }
            var registry = registry
            let python = try self.function(function, try Self.options(session?.settings ?? SessionSettings(), function))
            registry.register(function.name.uppercased()) { args, _ in try python.scalarCall(args) }
            return registry
        }
        let nextRows = session.catalog.rowFunctionResolver
        session.catalog.rowFunctionResolver = { [weak session] function, registry in
            guard function.language == .python else { return try nextRows?(function, registry) ?? registry }
            var registry = registry
            let python = try self.function(function, try Self.options(session?.settings ?? SessionSettings(), function))
            registry.register(function.name) { args in try python.tableCall(args) }
            return registry
        }
    }

    private func function(_ definition: CatalogFunction, _ options: PythonOptions) throws -> PythonFunction {
        guard definition.identifier.split(separator: ".").count > 1 else {
            throw StreamError(.validate, "'\(definition.identifier)' names no Python function", fix: "write AS 'module.function'")
        }
        let key = Key(name: definition.name.uppercased(), identifier: definition.identifier, options: options)
        return known.withLock { known in
            if let function = known[key] { return function }
            let made = PythonFunction(name: key.name, identifier: key.identifier, options: options)
            known[key] = made
            return made
        }
    }

    private static func options(_ settings: SessionSettings, _ function: CatalogFunction) throws -> PythonOptions {
        var options = PythonOptions()
        if let executable = settings.values["python.executable"] { options.executable = executable }
        let files = (settings.values["python.files"] ?? "").split(separator: ",").map { $0.trimming() } + function.resources.map(\.path)
        options.path = files.map { file in
            // A module's file stands for its folder.
            guard file.hasSuffix(".py") else { return file }
            return file.contains("/") ? String(file[..<file.lastIndex(of: "/")!]) : "."
        }
        if let timeout = settings.pythonTimeout { options.timeout = Int(timeout.components.seconds * 1_000 + timeout.components.attoseconds / 1_000_000_000_000_000) }
        return options
    }
}

extension Substring {
    fileprivate func trimming() -> String {
        var text = self
        while text.first?.isWhitespace == true { text.removeFirst() }
        while text.last?.isWhitespace == true { text.removeLast() }
        return String(text)
    }
}
