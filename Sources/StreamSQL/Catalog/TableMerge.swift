import StreamCore

/// CREATE TABLE ... LIKE: what of the other table goes into the new one. Options are overwritten unless said otherwise, all else
/// is included.
struct TableMerge {
    var like: TableLike
    var source: TableDeclaration
    var script: ScriptText

    private typealias Feature = TableLike.Feature
    private typealias Strategy = TableLike.Strategy

    /// How each feature is taken over.
    private func strategies() throws -> [Feature: Strategy] {
        var all: [Feature: Strategy] = [:], explicit: Set<Feature> = []
        for feature in Feature.allCases { all[feature] = feature == .options ? .overwriting : .including }
        for (strategy, feature, span) in like.options {
            guard explicit.insert(feature).inserted else {
                throw script.error(.validate, "LIKE says twice what to do with \(feature.rawValue)", fix: "keep one of them", at: span)
            }
            if strategy == .overwriting, [.constraints, .partitions].contains(feature) {
                throw script.error(
                    .validate, "OVERWRITING \(feature.rawValue) is no choice", fix: "write INCLUDING or EXCLUDING \(feature.rawValue)", at: span)
            }
            guard feature == .all else { continue }
            for one in Feature.allCases {
                // What cannot be overwritten is left out, so that the new table's own stands.
                all[one] = strategy == .overwriting && [.constraints, .partitions].contains(one) ? .including : strategy
            }
        }
        for (strategy, feature, _) in like.options where feature != .all { all[feature] = strategy }
        return all
    }

    private func clash(_ problem: String, _ feature: Feature, overwriting: Bool = true) -> StreamError {
        script.error(
            .validate, problem,
            fix: "write LIKE \(like.source.text) (EXCLUDING \(feature.rawValue)\(overwriting ? ") or (OVERWRITING \(feature.rawValue)" : ""))",
            at: like.source.span)
    }

    func merged(into new: TableDeclaration) throws -> TableDeclaration {
        let strategies = try strategies()
        let base = like.source.text
        var result = new
        result.columns = []
        for column in source.columns {
            switch column.kind {
            case .physical: result.columns.append(column)
            case .computed: if strategies[.generated] != .excluding { result.columns.append(column) }
            case .metadata: if strategies[.metadata] != .excluding { result.columns.append(column) }
            }
        }
        for column in new.columns {
            guard let i = result.index(of: column.name) else {
                result.columns.append(column)
                continue
            }
            let feature: Feature
            switch (result.columns[i].kind, column.kind) {
            case (.computed, .computed): feature = .generated
            case (.metadata, .metadata): feature = .metadata
            default:
                throw script.error(
                    .validate, "table \(base) has a column \(column.name) already", fix: "leave it out, or give it another name", at: like.source.span)
            }
            guard strategies[feature] == .overwriting else {
                throw clash("table \(base) has a column \(column.name) already", feature)
            }
            result.columns[i] = column
        }
        if !source.primaryKey.isEmpty, strategies[.constraints] != .excluding {
            guard new.primaryKey.isEmpty else { throw clash("table \(base) has a primary key already", .constraints, overwriting: false) }
            result.primaryKey = source.primaryKey
            result.constraintName = source.constraintName
        }
        if !source.partitionKeys.isEmpty, strategies[.partitions] != .excluding {
            guard new.partitionKeys.isEmpty else { throw clash("table \(base) has partitions already", .partitions, overwriting: false) }
            result.partitionKeys = source.partitionKeys
        }
        if let watermark = source.watermark, strategies[.watermarks] != .excluding {
            if new.watermark == nil {
                result.watermark = watermark
            } else if strategies[.watermarks] != .overwriting {
                throw clash("table \(base) has a watermark already, on column \(watermark.column)", .watermarks)
            }
        }
        if strategies[.options] != .excluding {
            result.options = try source.options.merging(new.options) { old, own in
                guard strategies[.options] == .overwriting else { throw clash("an option of table \(base) is given again: '\(old)' and '\(own)'", .options) }
                return own
            }
        }
        return result
    }
}
