import StreamCore

/// The options that tables of all lake formats understand, and how they are read: every error names the option, its value and
/// what to write instead.
package struct LakeOptions {
    package static let path = "path"
    package static let operation = "write.operation"
    /// All of these mean the same.
    package static let ordering = ["precombine.field", "write.precombine.field", "ordering.field", "ordering.fields"]
    package static let codec = "parquet.compression.codec"
    package static let maxFileSize = "write.parquet.max.file.size"
    package static let smallFileLimit = "write.parquet.small.file.limit"
    package static let insertCluster = "write.insert.cluster"
    package static let taskMaxSize = "write.task.max.size"
    package static let commitInterval = "write.commit.interval"
    package static let globalIndex = "index.global.enabled"
    package static let retainCommits = "clean.retain_commits"
    package static let nullForMissing = "write.set.null.for.missing.columns"

    package static let all: Set<String> = Set([
        path, operation, codec, maxFileSize, smallFileLimit, insertCluster, taskMaxSize, commitInterval, globalIndex, retainCommits, nullForMissing,
    ] + ordering).union(TableFiles.storageOptions)

    package let table: TableDescriptor

    package init(_ table: TableDescriptor) { self.table = table }

    /// The options as plain types.
    package var read: TableOptions { TableOptions(table) }

    package func error(_ option: String, _ problem: String, fix: String? = nil) -> StreamError {
        StreamError(.validate, "table \(table.name): \(problem)", fix: fix, at: table.optionLocations[option])
    }

    // MARK: Values

    /// A bare number counts MiB; a number with a unit is what it says.
    package func mebibytes(_ option: String, default fallback: Int64) throws -> Int64 {
        guard let text = table.options[option] else { return fallback << 20 }
        if let n = Int64(text.trimmed) {
            guard n > 0, n <= .max >> 20 else { throw read.error(option, "is not a size", fix: "write a number of MiB such as '120', or '1 gb'") }
            return n << 20
        }
        return Int64(try read.bytes(option)!)
    }

    /// The names of columns in a list with commas.
    package func columns(_ option: String, _ text: String) throws -> [String] {
        let names = text.split(separator: ",").map { String($0).trimmed }
        for name in names where !table.schema.contains(where: { $0.name == name }) {
            throw error(option, "'\(option)' names column '\(name)', which the table does not have",
                        fix: NearName.hint(for: name, in: table.schema.map(\.name)))
        }
        return names
    }

    /// The column whose larger value tells the newer of two rows with one key.
    /// - Parameter options: names of the option, all meaning the same.
    package func orderingField(_ options: [String] = LakeOptions.ordering) throws -> String? {
        let given = options.filter { table.options[$0] != nil }
        guard let option = given.first else { return nil }
        if let other = given.dropFirst().first(where: { table.options[$0] != table.options[option] }) {
            throw error(other, "'\(option)' and '\(other)' name different columns", fix: "give only one of them")
        }
        let names = try columns(option, table.options[option]!)
        guard names.count == 1 else { throw error(option, "'\(option)' must name one column", fix: "write one column name") }
        let field = table.schema.first { $0.name == names[0] }!
        guard OrderingValue.canOrder(field.type) else { throw error(option, "column \(field.name) of type \(field.type) has no order") }
        return names[0]
    }

    /// Checks that columns can be what records are found by.
    package func requireKeys(_ names: [String], option: String) throws {
        for name in names {
            let field = table.schema.first { $0.name == name }!
            guard TextColumn.canBeKey(field.type) else {
                throw error(option, "record key column \(name) has type \(field.type), whose text form differs between engines",
                            fix: "use text, integers or dates as keys")
            }
        }
    }

    /// Checks that columns are there and can name folders.
    package func requirePartitions(_ names: [String], option: String) throws {
        for name in names {
            guard let field = table.schema.first(where: { $0.name == name }) else {
                throw error(option, "partition column '\(name)' is not a column of the table", fix: NearName.hint(for: name, in: table.schema.map(\.name)))
            }
            guard field.type.isText || field.type.isInteger || field.type == .boolean || field.type == .date else {
                throw error(option, "partition column \(name) has type \(field.type)", fix: "partition by text, integers, booleans or dates")
            }
        }
    }

    // MARK: Writing

    /// The operation that is written with.
    /// - Parameter fallback: when the option is not set.
    package func operation(default fallback: WriteConfiguration.Operation) throws -> WriteConfiguration.Operation {
        try read.choice(Self.operation, WriteConfiguration.Operation.allCases.map(\.rawValue)).flatMap { .init(rawValue: $0) } ?? fallback
    }

    /// - Parameter option: the name of the option.
    package func codec(_ option: String = LakeOptions.codec, default fallback: ParquetCodec = .zstd) throws -> ParquetCodec {
        guard let name = try read.choice(option, ParquetCodec.allCases.map(\.rawValue) + ["uncompressed"]) else { return fallback }
        return ParquetCodec(rawValue: name) ?? .none
    }

    /// - Parameter smallFileLimit: the name of the option for it.
    package func limits(smallFileLimit: String = LakeOptions.smallFileLimit) throws -> FileRouter.Limits {
        var limits = FileRouter.Limits()
        limits.maxFileBytes = try mebibytes(Self.maxFileSize, default: 120)
        limits.smallFileBytes = min(try mebibytes(smallFileLimit, default: 100), limits.maxFileBytes)
        return limits
    }

    package func globalKeys() throws -> Bool { try read.bool(Self.globalIndex) ?? true }

    package func mergesSmallFilesOnInsert() throws -> Bool { try read.bool(Self.insertCluster) ?? false }

    /// Columns of the table that the declaration lacks are written as NULL.
    package func nullForMissing() throws -> Bool { try read.bool(Self.nullForMissing) ?? false }

    package func upsertBufferBytes() throws -> Int { Int(try mebibytes(Self.taskMaxSize, default: 512)) }

    package func commitInterval() throws -> Duration? {
        let interval = try read.duration(Self.commitInterval)
        if let interval, interval <= .zero { throw read.error(Self.commitInterval, "is not positive", fix: "write for example '10 s'") }
        return interval
    }

    /// nil when not set.
    package func retainedCommits() throws -> Int? { try read.int(Self.retainCommits, in: 1...Int.max) }
}
