import StreamCore
import StreamExpressions

extension RowFunction {
    /// Un-nesting along a path: the elements of an array as single values, whatever their type, and on demand their position. A VARIANT that
    /// holds no array, and a null, give no rows. nil when `type` cannot hold an array.
    ///
    /// - Parameter position: with the number of the element behind, BIGINT from 0.
    public static func elements(_ type: DataType, position: Bool) -> RowFunction? {
        let element: DataType
        switch type {
        case .array(let inner): element = inner
        case .variant: element = .variant
        default: return nil
        }
        return RowFunction(name: "ELEMENTS", resultTypes: [element] + (position ? [.bigint] : [])) { _ in ElementsFunction(position: position) }
    }
}

private final class ElementsFunction: RowFunctionInstance {
    private let position: Bool
    init(position: Bool) { self.position = position }

    func call(_ arguments: [Column], count: Int) throws -> (columns: [Column], calls: [Int32]) {
        let values = arguments[0].flat()
        var calls: [Int32] = [], positions: [Int64] = []
        let elements: Column
        if values.type == .variant {
            let builder = ColumnBuilder(type: .variant, capacity: count)
            for call in 0..<count where values.isValid(call) {
                let value = Variant(values.bytes(at: call))
                guard value.kind == .array else { continue }
                for i in 0..<value.count {
                    builder.append(bytes: value.element(i).bytes)
                    calls.append(Int32(truncatingIfNeeded: call))
                    positions.append(Int64(i))
                }
            }
            elements = builder.finish()
        } else {
            let offsets = values.codes
            var at: [Int32] = []
            for call in 0..<count where values.isValid(call) {
                for i in offsets[call]..<offsets[call + 1] {
                    at.append(i)
                    calls.append(Int32(truncatingIfNeeded: call))
                    positions.append(Int64(i - offsets[call]))
                }
            }
            elements = values.children[0].flat().gather(at)
        }
        guard position else { return ([elements], calls) }
        return ([elements, Column(type: .bigint, count: positions.count, values: positions.withUnsafeBytes { Buffer(copying: $0) })], calls)
    }
}
