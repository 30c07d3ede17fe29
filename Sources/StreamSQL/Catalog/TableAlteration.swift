import StreamCore

/// ALTER TABLE on a table's declaration: columns, keys, watermark and options.
struct TableAlteration {
    var name: String
    var declaration: TableDeclaration

    /// - Throws: `.validate` when the change does not fit the table.
    mutating func apply(_ change: TableChange) throws {
        switch change {
        case .renameColumn(let from, let to): try renameColumn(from, to)
        case .setOptions(let options):
            guard !options.isEmpty else { throw error("SET names no option", fix: "write SET ('key' = 'value')") }
            for option in options { declaration.options[option.key] = option.value }
        case .resetOptions(let keys):
            if keys.contains("connector") { throw error("the connector of a table cannot be reset", fix: "SET another one") }
            for key in keys { declaration.options[key] = nil }
        case .add(let elements, let positions): try add(TableDeclaration(elements), positions)
        case .modify(let elements, let positions): try modify(TableDeclaration(elements), positions)
        case .dropColumns(let names): try drop(names)
        case .dropPrimaryKey: try dropKey(nil)
        case .dropConstraint(let constraint): try dropKey(constraint)
        case .dropWatermark:
            guard declaration.watermark != nil else { throw error("table \(name) has no watermark") }
            declaration.watermark = nil
        case .rename, .addPartitions, .dropPartitions, .recoverPartitions: preconditionFailure("not about the declaration")
        }
    }

    private func error(_ problem: String, fix: String? = nil) -> StreamError { StreamError(.validate, problem, fix: fix) }

    private func index(of column: String) throws -> Int {
        guard let i = declaration.index(of: column) else {
            throw error("table \(name) has no column \(column)", fix: NearName.hint(for: column, in: declaration.columns.map(\.name)))
        }
        return i
    }

    // MARK: columns

    private mutating func place(_ column: TableDeclaration.Column, _ position: ColumnPosition?, default end: Int) throws {
        switch position {
        case .first: declaration.columns.insert(column, at: 0)
        case .after(let other): declaration.columns.insert(column, at: try index(of: other) + 1)
        case nil: declaration.columns.insert(column, at: end)
        }
    }

    private mutating func add(_ added: TableDeclaration, _ positions: [String: ColumnPosition]) throws {
        for column in added.columns {
            guard declaration.index(of: column.name) == nil else {
                throw error("table \(name) has a column \(column.name) already", fix: "write MODIFY to change it")
            }
            try place(column, positions[column.name], default: declaration.columns.count)
        }
        if !added.primaryKey.isEmpty {
            guard declaration.primaryKey.isEmpty else {
                throw error("table \(name) has the primary key (\(declaration.primaryKey.joined(separator: ", "))) already", fix: "write MODIFY to change it")
            }
            try setKey(added)
        }
        if let watermark = added.watermark {
            guard declaration.watermark == nil else {
                throw error("table \(name) has a watermark on column \(declaration.watermark!.column) already", fix: "write MODIFY to change it")
            }
            declaration.watermark = watermark
        }
    }

    private mutating func modify(_ changed: TableDeclaration, _ positions: [String: ColumnPosition]) throws {
        for var column in changed.columns {
            let i = try index(of: column.name)
            let old = declaration.columns.remove(at: i)
            column.comment = column.comment ?? old.comment
            try place(column, positions[column.name], default: i)
        }
        if !changed.primaryKey.isEmpty {
            guard !declaration.primaryKey.isEmpty else { throw error("table \(name) has no primary key", fix: "write ADD") }
            try setKey(changed)
        }
        if let watermark = changed.watermark {
            guard declaration.watermark != nil else { throw error("table \(name) has no watermark", fix: "write ADD") }
            declaration.watermark = watermark
        }
    }

    private mutating func setKey(_ from: TableDeclaration) throws {
        for column in from.primaryKey { _ = try index(of: column) }
        (declaration.primaryKey, declaration.constraintName) = (from.primaryKey, from.constraintName)
    }

    private mutating func renameColumn(_ from: String, _ to: String) throws {
        let i = try index(of: from)
        guard declaration.index(of: to) == nil else { throw error("table \(name) has a column \(to) already", fix: "choose another name") }
        if let user = try uses(from) { throw error("column \(from) is used by \(user)", fix: "drop or change that first") }
        guard !declaration.partitionKeys.contains(from) else {
            throw error("column \(from) is a partition column; its folders have its name", fix: "keep the name")
        }
        if case .metadata(nil, let virtual) = declaration.columns[i].kind { declaration.columns[i].kind = .metadata(key: from, virtual: virtual) }
        declaration.columns[i].name = to
        declaration.primaryKey = declaration.primaryKey.map { $0 == from ? to : $0 }
    }

    private mutating func drop(_ names: [String]) throws {
        for (n, column) in names.enumerated() {
            _ = try index(of: column)
            guard !names[..<n].contains(column) else { throw error("column \(column) is named twice") }
            guard !declaration.primaryKey.contains(column) else {
                throw error("column \(column) is part of the primary key", fix: "drop the key first: ALTER TABLE \(name) DROP PRIMARY KEY")
            }
            guard !declaration.partitionKeys.contains(column) else { throw error("column \(column) is a partition column, which cannot be dropped") }
        }
        // Computed columns that go too may use the others.
        let all = declaration.columns
        declaration.columns.removeAll { names.contains($0.name) }
        for column in names where all.contains(where: { $0.name == column }) {
            if let user = try uses(column) { throw error("column \(column) is used by \(user)", fix: "drop that first, or together with it") }
        }
    }

    /// The computed column or watermark whose expression names a column.
    private func uses(_ column: String) throws -> String? {
        for other in declaration.columns {
            if case .computed(let text) = other.kind, try Self.names(in: text).contains(column) { return "computed column \(other.name)" }
        }
        if let watermark = declaration.watermark, try watermark.column == column || Self.names(in: watermark.expression).contains(column) {
            return "the watermark"
        }
        return nil
    }

    /// Every word of an expression that may be a column: more than there are columns, never fewer.
    private static func names(in text: String) throws -> Set<String> {
        var lexer = Lexer(SourceText(text))
        return Set(try lexer.tokens().filter { $0.kind == .word || $0.kind == .quoted }.map(\.text))
    }

    // MARK: keys

    private mutating func dropKey(_ constraint: String?) throws {
        guard !declaration.primaryKey.isEmpty else { throw error("table \(name) has no primary key") }
        let own = declaration.primaryKeyName
        if let constraint, constraint != own { throw error("table \(name) has no constraint \(constraint)", fix: "write \"\(own)\"") }
        (declaration.primaryKey, declaration.constraintName) = ([], nil)
    }
}
