import StreamCore

/// What a cell's text is written in.
package enum CellLanguage: String, Sendable, Hashable {
    case sql, markdown, python, shell, swift, scala
    /// Of an interpreter that is not known here.
    case other
}

extension CellInterpreter {
    /// What runs cells here; others are kept in files, and a cell that has one cannot run.
    package static let known = ["flink.ssql", "flink.bsql", "flink", "flink.pyflink", "flink.ipyflink", "md", "python", "sh", "swift"]

    package var isKnown: Bool { Self.known.contains(name) }

    package var language: CellLanguage {
        let last = name.split(separator: ".").last.map(String.init) ?? name
        return switch last.lowercased() {
        case "md", "markdown": .markdown
        case "python", "ipython", "pyflink", "ipyflink", "pyspark", "ipyspark", "python3": .python
        case "sh", "bash": .shell
        case "swift": .swift
        case "flink", "spark", "scala": .scala
        case "sql", "ssql", "bsql", "jdbc", "hive", "presto", "trino": .sql
        case let other: other.hasSuffix("sql") ? .sql : .other
        }
    }

    /// The interpreter line: `%flink.ssql(type=update)`.
    package var text: String {
        guard !properties.isEmpty else { return "%" + name }
        return "%\(name)(" + properties.map { $0.name == $0.value ? Self.quoted($0.name) : Self.quoted($0.name) + "=" + Self.quoted($0.value) }.joined(separator: ", ") + ")"
    }

    private static func quoted(_ text: String) -> String {
        let escaped = text.unicodeScalars.reduce(into: "") { out, c in
            switch c {
            case "\\": out += "\\\\"
            case "\"": out += "\\\""
            case "\n": out += "\\n"
            case "\t": out += "\\t"
            default: out.unicodeScalars.append(c)
            }
        }
        let needsQuotes = text.isEmpty || text != text.trimmed || text.contains { "(),=\"".contains($0) }
        return needsQuotes ? "\"\(escaped)\"" : escaped
    }

    /// The interpreter that a text begins with (white space before it is skipped), and where its text begins, in characters of `text`.
    ///
    /// - Returns: nil when the text begins with something else.
    /// - Throws: `.parse` when the properties do not end, or have no name; the location is line 1 of `text` when it is one line.
    package static func parse(_ text: String) throws -> (interpreter: CellInterpreter, end: String.Index)? {
        let scalars = text.unicodeScalars
        var at = scalars.startIndex
        while at < scalars.endIndex, scalars[at].properties.isWhitespace { scalars.formIndex(after: &at) }
        guard at < scalars.endIndex, scalars[at] == "%" else { return nil }
        scalars.formIndex(after: &at)
        let start = at
        func isWord(_ c: Unicode.Scalar) -> Bool { c.properties.isAlphabetic || c.properties.numericType == .decimal || c == "_" }
        while at < scalars.endIndex {
            if isWord(scalars[at]) {
                scalars.formIndex(after: &at)
            } else if scalars[at] == ".", at > start, scalars.index(after: at) < scalars.endIndex, isWord(scalars[scalars.index(after: at)]) {
                scalars.formIndex(after: &at)
            } else {
                break
            }
        }
        guard at > start else { return nil }
        var interpreter = CellInterpreter(String(scalars[start..<at]))
        if at < scalars.endIndex, scalars[at] == "(" {
            let open = at
            scalars.formIndex(after: &at)
            func problem(_ what: String) -> StreamError {
                StreamError(.parse, "the properties of %\(interpreter.name) \(what)", fix: "write them as %\(interpreter.name)(type=update, refreshInterval=1000)",
                            at: SourceLocation(line: 1, column: text.distance(from: text.startIndex, to: open) + 1), sourceLine: text.splitLines.first)
            }
            var name: String?, word = String.UnicodeScalarView(), isQuoted = false, isOpen = true
            func finish() throws {
                let value = String(word).trimmed
                if let name {
                    interpreter.properties.append(Property(name, value))
                } else if !value.isEmpty {
                    // A name alone has itself as its value.
                    interpreter.properties.append(Property(value, value))
                }
                (name, word) = (nil, .init())
            }
            while isOpen {
                guard at < scalars.endIndex else { throw problem("have no closing parenthesis") }
                let c = scalars[at]
                scalars.formIndex(after: &at)
                switch c {
                case "\\":
                    guard at < scalars.endIndex else { throw problem("end with a backslash") }
                    switch scalars[at] {
                    case "n": word.append("\n")
                    case "t": word.append("\t")
                    case let other: word.append(other)
                    }
                    scalars.formIndex(after: &at)
                case "\"": isQuoted.toggle()
                case ")" where !isQuoted:
                    try finish()
                    isOpen = false
                case "=" where !isQuoted:
                    guard name == nil else { throw problem("have a second = in one of them; put the value in double quotes") }
                    (name, word) = (String(word).trimmed, .init())
                    if name == "" { throw problem("have one without a name") }
                case "," where !isQuoted:
                    if name == nil, String(word).isBlank { throw problem("have an empty one") }
                    try finish()
                default: word.append(c)
                }
            }
        }
        return (interpreter, at)
    }

    // MARK: jupytext's option `language`

    /// Interpreters whose cells are written with the option `language="…"`, so that Jupyter shows the text as it is.
    var languageOption: String? {
        switch language {
        case .python: "python"
        case .shell: name == "bash" ? "bash" : "sh"
        case .swift: "swift"
        case .scala: "scala"
        case .sql, .markdown: nil
        case .other: Self.jupyterLanguages.contains(name) ? name : nil
        }
    }

    static func hasCellMagic(_ language: String) -> Bool { jupyterLanguages.contains(language) }

    /// Names of the cell magics that jupytext takes for languages.
    private static let jupyterLanguages: Set<String> = [
        "R", "bash", "sh", "python", "python2", "python3", "coconut", "javascript", "js", "perl", "html", "latex", "markdown", "pypy", "ruby", "script", "svg",
        "matlab", "octave", "idl", "robotframework", "sas", "spark", "sql", "cython", "haskell", "tcl", "gnuplot", "wolfram language", "julia", "c++", "scheme",
        "clojure", "powershell", "q", "typescript", "scala", "rust", "csharp", "fsharp", "sos", "java", "groovy", "sage", "ocaml", "maxima", "stata", "jenner",
        "xonsh", "logtalk", "lua", "go", "c#", "f#", "cs", "fs",
    ]
}
