import StreamCore
import StreamExpressions

extension RowFunction {
    /// Gives as many rows, without columns, as its BIGINT argument says.
    public static let replicateRows = RowFunction(name: "REPLICATE_ROWS", resultTypes: []) { _ in ReplicateRows() }
}

private final class ReplicateRows: RowFunctionInstance {
    func call(_ arguments: [Column], count: Int) throws -> (columns: [Column], calls: [Int32]) {
        let times = arguments[0].flat()
        var calls: [Int32] = []
        withExtendedLifetime(times) {
            let values = times.pointer(as: Int64.self)
            for i in 0..<count where times.isValid(i) {
                for _ in 0..<max(0, values[i]) { calls.append(Int32(truncatingIfNeeded: i)) }
            }
        }
        return ([], calls)
    }
}
