import StreamCore
import StreamExpressions

extension RowFunction {
    /// UNNEST: a row for each element of an array or each entry of a map. Elements of type ROW come as their fields; those that are
    /// null come not at all, or with null fields when they are numbered. nil when `type` has no elements.
    ///
    /// - Parameter ordinality: with the position of the element behind, INT from 1.
    public static func unnest(_ type: DataType, ordinality: Bool) -> RowFunction? {
        let types: [DataType]
        switch type {
        case .array(.row(let fields)): types = fields.map(\.type)
        case .array(let element): types = [element]
        case .map(let key, let value): types = [key, value]
        default: return nil
        }
        return RowFunction(name: "UNNEST", resultTypes: types + (ordinality ? [.int] : [])) { _ in UnnestFunction(ordinality: ordinality) }
    }

    /// Names of the columns that ``unnest(_:ordinality:)`` gives.
    public static func unnestNames(_ type: DataType, ordinality: Bool) -> [String] {
        let names: [String] =
            switch type {
            case .array(.row(let fields)): fields.map(\.name)
            case .map: ["KEY", "VALUE"]
            default: ["EXPR$0"]
            }
        return names + (ordinality ? ["ORDINALITY"] : [])
    }
}

private final class UnnestFunction: RowFunctionInstance {
    private let ordinality: Bool

    init(ordinality: Bool) { self.ordinality = ordinality }

    func call(_ arguments: [Column], count: Int) throws -> (columns: [Column], calls: [Int32]) {
        let values = arguments[0].flat()
        let elements = values.children.map { $0.flat() }
        let isRow = if case .array(.row) = values.type { true } else { false }
        let skipped = isRow && !ordinality ? elements[0].validity : nil
        var calls: [Int32] = [], at: [Int32] = [], positions: [Int32] = []
        withExtendedLifetime(values) {
            let offsets = values.codes
            let total = count == 0 ? 0 : Int(offsets[count] - offsets[0])
            calls.reserveCapacity(total)
            at.reserveCapacity(total)
            for call in 0..<count where values.isValid(call) {
                let first = offsets[call]
                for i in first..<offsets[call + 1] {
                    if let skipped, !Bitmap.get(skipped.base, Int(i)) { continue }
                    calls.append(Int32(truncatingIfNeeded: call))
                    at.append(i)
                    if ordinality { positions.append(i - first + 1) }
                }
            }
        }
        var columns: [Column]
        if isRow {
            let rows = elements[0]
            columns = rows.children.map { child in
                let field = child.gather(at)
                guard let validity = rows.validity else { return field }
                let isNull = at.map { Bitmap.get(validity.base, Int($0)) ? Int32(0) : -1 }
                return isNull.contains(-1) ? field.gatherOrNull(isNull.enumerated().map { $1 < 0 ? -1 : Int32(truncatingIfNeeded: $0) }) : field
            }
        } else {
            columns = elements.map { $0.gather(at) }
        }
        if ordinality {
            columns.append(Column(type: .int, count: positions.count, values: positions.withUnsafeBytes { Buffer(copying: $0) }))
        }
        return (columns, calls)
    }
}
