import StreamCore

/// `.ipynb` files, version 4: cells with the text that jupytext gives them, so that either program reads what the other wrote.
package enum JupyterNotebook {
    /// Members of a cell's metadata for what a notebook says of it outside its metadata.
    static let identityMember = "notebook_cell_id"
    static let attachmentsMember = "notebook_attachments"

    // MARK: Reading

    /// Outputs are not read.
    ///
    /// - Throws: `.corrupt` when the bytes are no JSON, `.parse` when they are no notebook of version 4.
    package static func parse(_ bytes: [UInt8], path: String) throws -> Notebook {
        let root = try readJSON(bytes, path)
        guard let cells = root["cells"]?.array, root["nbformat"]?.int == 4 else {
            let version = root["nbformat"]?.int.map { "it has version \($0)" } ?? "it has no version and cells"
            throw StreamError(.parse, "\(path) is not a notebook of format version 4: \(version)", fix: "convert it with: jupyter nbconvert --to notebook --inplace FILE")
        }
        var metadata = root["metadata"]?.members ?? []
        let isPython = language(of: metadata) == "python"
        var notebook = Notebook()
        for (i, cell) in cells.enumerated() {
            notebook.cells.append(try read(cell, isPython: isPython, at: i, path))
        }
        // What only says that the notebook is ours is written again.
        if metadata["kernelspec"] == .object(kernel) { metadata.removeAll { $0.name == "kernelspec" } }
        if metadata["language_info"] == .object(languageInfo) { metadata.removeAll { $0.name == "language_info" } }
        if let ours = metadata["swiftwater"]?.members {
            metadata.removeAll { $0.name == "swiftwater" }
            metadata += ours
            if let header = ours[PercentScript.headerMember]?.string, let said = PercentHeader.values(header) {
                metadata.removeAll { said[$0.name] == $0.value }
            }
        }
        notebook.metadata = metadata
        for (i, id) in identities(of: notebook).enumerated() where notebook.cells[i].metadata[identityMember]?.string == id.generated {
            notebook.cells[i].metadata.removeAll { $0.name == identityMember }
        }
        return notebook
    }

    static func readJSON(_ bytes: [UInt8], _ path: String) throws -> JSON {
        let hasMark = bytes.starts(with: [0xEF, 0xBB, 0xBF])
        return try JSON.parse(hasMark ? Array(bytes.dropFirst(3)) : bytes, path)
    }

    private static func read(_ cell: JSON, isPython: Bool, at index: Int, _ path: String) throws -> NotebookCell {
        func text(_ value: JSON?) -> String? { value?.string ?? value?.array.map { $0.compactMap(\.string).joined() } }
        guard let type = cell["cell_type"]?.string, let kind = NotebookCell.Kind(rawValue: type), let source = text(cell["source"]) else {
            throw StreamError(.parse, "\(path): cell \(index + 1) has no cell_type among code, markdown and raw, or no source", fix: "restore the file, or convert it with jupyter nbconvert")
        }
        var options = CellOptions(kind: kind, members: cell["metadata"]?.members ?? [])
        if let title = options["title"]?.string { (options.title, options["title"]) = (title, nil) }
        if let id = cell["id"]?.string { options[identityMember] = .string(id) }
        if let attachments = cell["attachments"], attachments.members?.isEmpty == false { options[attachmentsMember] = attachments }
        var lines = source.splitLines
        if kind == .code {
            if let (language, arguments) = cellMagic(lines.first ?? "") {
                lines.removeFirst()
                if language == "sql", isPython {
                    lines = JupyterMagics.commented(lines)
                } else {
                    options["language"] = .string(language)
                    lines = lines.map(CommentPrefix.adding)
                }
                if !arguments.isEmpty { options["magic_args"] = .string(arguments) }
            } else if options["language"]?.string != nil {
                lines = lines.map(CommentPrefix.adding)
            } else if isPython {
                options["language"] = .string("python")
                lines = lines.map(CommentPrefix.adding)
            } else {
                lines = JupyterMagics.commented(lines)
            }
        } else {
            if kind == .raw, options["active"] != nil || options.isActiveByTag { options.kind = .code }
            let isPlain = options.kind == .code && NotebookCell(source: "", tags: options.tags, metadata: options.members).isActive(in: "sql")
            if !isPlain { lines = lines.map(CommentPrefix.adding) }
        }
        do {
            var read = try PercentCell(options, body: lines).cell
            if kind == .raw { read.kind = .raw }
            (read.line, read.indent) = (1, 0)
            return read
        } catch var error as StreamError {
            error.problem = "\(path): cell \(index + 1): " + error.problem
            error.location = nil
            throw error
        }
    }

    /// `%%python -x` makes a cell of another language.
    private static func cellMagic(_ line: String) -> (language: String, arguments: String)? {
        guard line.hasPrefix("%%") else { return nil }
        let words = line.dropFirst(2).split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false)
        guard let language = words.first.map(String.init), CellInterpreter.hasCellMagic(language) else { return nil }
        return (language, words.count > 1 ? String(words[1]) : "")
    }

    private static func language(of metadata: [JSON.Member]) -> String {
        let name = metadata["kernelspec"]?["language"]?.string ?? metadata["language_info"]?["name"]?.string ?? (metadata["kernelspec"]?["name"]?.string?.hasPrefix("python") == true ? "python" : "sql")
        return name.lowercased().hasPrefix("python") || name.lowercased() == "ipython" ? "python" : name.lowercased()
    }

    // MARK: Writing

    /// Says no language: jupytext would take the name for its own table of languages, which has no SQL, and leave magics as they are.
    private static let kernel = [JSON.Member("display_name", .string("Swiftwater SQL")), JSON.Member("name", .string("swiftwater"))]
    private static let languageInfo = [JSON.Member("codemirror_mode", .string("sql")), JSON.Member("file_extension", .string(".sql")), JSON.Member("mimetype", .string("text/x-sql")),
                                       JSON.Member("name", .string("sql")), JSON.Member("pygments_lexer", .string("sql"))]

    /// - Parameter results: what the cells did when they ran; those of a cell that has none are empty.
    /// - Parameter chart: a chart as SVG, or nil when it cannot be drawn.
    package static func text(_ notebook: Notebook, results: [CellResult] = [], chart: (ResultTable, ChartSpec) -> String? = { _, _ in nil }) -> String {
        var metadata = notebook.metadata.filter { !$0.name.hasPrefix("script_") }
        let ours = notebook.metadata.filter { $0.name.hasPrefix("script_") }
        if let header = ours[PercentScript.headerMember]?.string, let said = PercentHeader.values(header) {
            for member in said where metadata[member.name] == nil { metadata.append(member) }
        }
        if metadata["kernelspec"] == nil { metadata.append(JSON.Member("kernelspec", .object(kernel))) }
        if metadata["language_info"] == nil, metadata["kernelspec"] == .object(kernel) { metadata.append(JSON.Member("language_info", .object(languageInfo))) }
        if !ours.isEmpty { metadata.append(JSON.Member("swiftwater", .object(ours))) }
        let isPython = language(of: metadata) == "python", ids = identities(of: notebook)
        var cells: [JSON] = [], count: Int64 = 0
        for (i, cell) in notebook.cells.enumerated() {
            let (source, members) = self.source(of: cell, isPython: isPython)
            var fields = [JSON.Member("cell_type", .string(cell.kind == .markdown && cell.interpreter != nil ? "code" : cell.kind.rawValue)), JSON.Member("id", .string(ids[i].used)),
                          JSON.Member("metadata", .object(members.filter { $0.name != identityMember && $0.name != attachmentsMember })), JSON.Member("source", lines(source))]
            if let attachments = members[attachmentsMember] { fields.append(JSON.Member("attachments", attachments)) }
            if fields[0].value == .string("code") {
                let result = results.last { $0.cell == i && $0.state != .skipped }
                if result != nil { count += 1 }
                fields.append(JSON.Member("execution_count", result == nil ? .null : .int(count)))
                fields.append(JSON.Member("outputs", .array(result.map { JupyterOutputs.outputs(of: $0, count: count, chart: chart) } ?? [])))
            }
            cells.append(.object(fields))
        }
        return PrettyJSON.text(.object([JSON.Member("cells", .array(cells)), JSON.Member("metadata", .object(metadata)), JSON.Member("nbformat", .int(4)), JSON.Member("nbformat_minor", .int(5))])) + "\n"
    }

    /// A cell's text as jupytext would give it, and its metadata.
    private static func source(of cell: NotebookCell, isPython: Bool) -> (String, [JSON.Member]) {
        var (options, body, isCommented) = PercentCell.parts(of: cell)
        var source: [String]
        let language = options.kind == .code && cell.kind != .raw ? options["language"]?.string : nil
        if cell.kind != .code, cell.interpreter == nil {
            source = cell.source.splitLines
        } else if let language, isCommented {
            source = body.map(CommentPrefix.removing)
            if isPython, language == "python" {
                options["language"] = nil
            } else if CellInterpreter.hasCellMagic(language) {
                let arguments = options["magic_args"]?.string.map { " " + $0 } ?? ""
                source.insert("%%" + language + arguments, at: 0)
                (options["language"], options["magic_args"]) = (nil, nil)
            }
        } else {
            source = JupyterMagics.uncommented(body)
            if isPython {
                source.insert("%%sql" + (options["magic_args"]?.string.map { " " + $0 } ?? ""), at: 0)
                options["magic_args"] = nil
            }
        }
        if let title = options.title { options[CellOptions.isReadBack(title: title) ? "title" : "name"] = .string(title) }
        return (source.joined(separator: "\n"), options.members)
    }

    /// As nbformat splits it: each line with its end.
    static func lines(_ text: String) -> JSON {
        var lines: [JSON] = [], line = String.UnicodeScalarView(), before: Unicode.Scalar?
        for c in text.unicodeScalars {
            if before == "\r", c != "\n" {
                lines.append(.string(String(line)))
                line = .init()
            }
            line.append(c)
            switch c {
            case "\n", "\u{B}", "\u{C}", "\u{1C}", "\u{1D}", "\u{1E}", "\u{85}", "\u{2028}", "\u{2029}":
                lines.append(.string(String(line)))
                line = .init()
            default: break
            }
            before = c
        }
        if !line.isEmpty { lines.append(.string(String(line))) }
        return .array(lines)
    }

    /// Cells' ids: those that they came with, else made from their text, so that writing the same notebook twice gives the same file.
    private static func identities(of notebook: Notebook) -> [(used: String, generated: String)] {
        var seen: Set<String> = Set(notebook.cells.compactMap { $0.metadata[identityMember]?.string }), texts: [UInt64: Int] = [:]
        var made: Set<String> = []
        return notebook.cells.map { cell in
            var hash: UInt64 = 0xCBF2_9CE4_8422_2325
            for byte in (cell.kind.rawValue + (cell.title ?? "") + "\u{0}" + cell.source).utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
            texts[hash, default: 0] += 1
            func name(_ hash: UInt64) -> String {
                let digits = String(UInt32(truncatingIfNeeded: hash ^ hash >> 32), radix: 16)
                return String(repeating: "0", count: 8 - digits.count) + digits
            }
            var salted = hash &+ UInt64(texts[hash]! - 1) &* 0x9E37_79B9_7F4A_7C15
            while made.contains(name(salted)) { salted = salted &+ 1 }
            let generated = name(salted)
            made.insert(generated)
            let own = cell.metadata[identityMember]?.string
            if let own, isIdentity(own) { return (own, generated) }
            var used = generated
            while seen.contains(used) { used += "x" }
            seen.insert(used)
            return (used, generated)
        }
    }

    private static func isIdentity(_ text: String) -> Bool {
        (1...64).contains(text.utf8.count) && text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x41...0x5A).contains($0) || (0x61...0x7A).contains($0) || $0 == 0x2D || $0 == 0x5F }
    }
}

extension CellOptions {
    var tags: [String] { self["tags"]?.array?.compactMap(\.string) ?? [] }
    var isActiveByTag: Bool { tags.contains { $0.hasPrefix("active-") } }
}

/// jupytext's commented magics: `-- %flink.ssql` in a script is `%flink.ssql` in a notebook.
enum JupyterMagics {
    static func commented(_ lines: [String]) -> [String] {
        mapped(lines) { $0.leadingSpace + CommentPrefix.mark + " " + $0.dropFirst($0.leadingSpace.count) }
    }

    static func uncommented(_ lines: [String]) -> [String] {
        mapped(lines) { $0.leadingSpace + CommentPrefix.removing(from: String($0.dropFirst($0.leadingSpace.count))) }
    }

    private static func mapped(_ lines: [String], _ change: (String) -> String) -> [String] {
        var scanner = LongStringScanner(comment: CommentPrefix.mark)
        return lines.map { line in
            defer { scanner.read(line) }
            return scanner.quote == nil && isMagic(line) ? change(line) : line
        }
    }

    /// `%name` or `%%name`, in none or more comments.
    private static func isMagic(_ line: String) -> Bool {
        var text = line.dropFirst(line.leadingSpace.count)
        while text.hasPrefix(CommentPrefix.mark) {
            text = text.dropFirst(CommentPrefix.mark.count)
            if text.hasPrefix(" ") { text = text.dropFirst() }
        }
        let signs = text.prefix { $0 == "%" }.count
        guard (1...3).contains(signs), let letter = text.dropFirst(signs).utf8.first, (0x41...0x5A).contains(letter) || (0x61...0x7A).contains(letter) else { return false }
        // Said at the line's end, by those who know jupytext.
        for end in line.ranges(of: CommentPrefix.mark).map(\.upperBound) {
            let word = line[end...].drop { $0.isWhitespace }
            if word.hasPrefix("escape") { return true }
            if word.hasPrefix("noescape") { return false }
        }
        return true
    }
}
