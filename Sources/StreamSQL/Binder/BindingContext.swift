import StreamCore
import StreamExpressions

/// What binding needs to know beside the syntax: the script for locations, the functions, the catalog, the settings.
struct BindingContext {
    var catalog: Catalog
    var functions: FunctionRegistry
    var rowFunctions = RowFunctionRegistry()
    var settings: SessionSettings
    var script: ScriptText
    var counter: Counter
    /// Views being expanded, to refuse a view that reads itself.
    var openViews: [String] = []
    /// Takes the window functions of the SELECT list that is being bound; nil elsewhere.
    var overs: OverCollector?

    /// Numbers that tell window functions of one statement apart.
    final class Counter {
        private var last = 0
        func next() -> Int {
            last += 1
            return last
        }
    }

    func error(_ code: StreamError.Code, _ problem: String, fix: String? = nil, at span: SourceSpan) -> StreamError {
        script.error(code, problem, fix: fix, at: span)
    }

    /// A function of the catalog that is written in Java or Scala.
    func functionInJVM(_ name: String) -> CatalogFunction? {
        guard let found = try? catalog.function(name, in: script.namespace), found.language.needsJVM else { return nil }
        return found
    }

    func needsJVM(_ function: CatalogFunction, at span: SourceSpan) -> StreamError {
        error(.plan, "function \(function.name) is written in \(function.language.name) (\(function.identifier)), and there is no JVM here",
              fix: "write it in Python: CREATE FUNCTION \(function.name) AS 'module.function' LANGUAGE PYTHON USING FILE '...'; or register it in Swift", at: span)
    }

    func unsupported(_ construct: String, fix: String? = nil, at span: SourceSpan) -> StreamError {
        script.error(.plan, "not supported yet: \(construct)", fix: fix, at: span)
    }
}
