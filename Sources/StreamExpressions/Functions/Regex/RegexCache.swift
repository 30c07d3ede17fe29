import StreamCore

/// The compiled form of a function's pattern: made once when the pattern is constant, else remembered per pattern.
///
/// One of these belongs to one kernel call, so that no lock is needed; `constant` is shared by all calls.
struct RegexSource: Sendable {
    enum Compiled: Sendable {
        case program(RegexProgram)
        case invalid(RegexSyntaxError)

        init(_ pattern: String) {
            do throws(RegexSyntaxError) { self = .program(try RegexProgram(pattern)) } catch { self = .invalid(error) }
        }

        var program: RegexProgram? { if case .program(let p) = self { p } else { nil } }
    }

    let constant: Compiled?

    /// `pattern` is compiled now when it is constant.
    init(_ pattern: Expr) {
        constant = Binding.constantText(pattern).map { Compiled($0) }
    }
}

/// Hands out matchers for the patterns of one column, in the order of the rows.
struct RegexColumn: ~Copyable {
    private let patterns: TextVector
    private let constant: RegexSource.Compiled?
    private var compiled: [[UInt8]: RegexSource.Compiled] = [:]
    private var matcher: RegexMatcher?
    private var current: [UInt8] = []
    private var isConstant = false

    /// Patterns that vary by row are remembered up to this many at a time.
    private static let cacheLimit = 256

    init(_ column: Column, _ source: RegexSource) {
        patterns = column.text
        constant = source.constant ?? column.text.constant.map { RegexSource.Compiled($0.string) }
        if let constant {
            isConstant = true
            if let program = constant.program { matcher = RegexMatcher(program) }
        }
    }

    /// Calls `body` with the matcher for a row; `invalid` when the pattern is not a regular expression.
    @inline(__always)
    mutating func with<T>(_ row: Int, invalid: T, _ body: (inout RegexMatcher) throws -> T) throws -> T {
        if !isConstant { select(patterns[row]) }
        if matcher == nil { return invalid }
        return try body(&matcher!)
    }

    private mutating func select(_ pattern: UnsafeRawBufferPointer) {
        if matcher != nil, current.withUnsafeBytes({ Utf8Text.equal($0, pattern) }) { return }
        current = Array(pattern)
        let found: RegexSource.Compiled
        if let known = compiled[current] {
            found = known
        } else {
            if compiled.count >= Self.cacheLimit { compiled.removeAll() }
            found = RegexSource.Compiled(pattern.string)
            compiled[current] = found
        }
        matcher = found.program.map { RegexMatcher($0) }
    }
}
