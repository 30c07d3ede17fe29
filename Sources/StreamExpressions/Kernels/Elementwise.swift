import StreamCore

/// Loops for functions that cannot fail and cost next to nothing per row: they run over null rows too, so that the compiler
/// can turn them into vector instructions.
enum Elementwise {
    @inline(__always)
    static func map<A: BitwiseCopyable, R: BitwiseCopyable>(_ type: DataType, _ column: Column, _ rows: RowSet, as _: A.Type,
                                                            _ compute: (A) -> R) -> Column {
        let a = column.vector(A.self)
        let bytes = rows.count * MemoryLayout<R>.stride
        if rows.prefersDense {
            let values = Buffer(capacity: bytes)
            let (from, out) = (a.base, values.pointer(as: R.self))
            if a.step == 0 {
                out.update(repeating: compute(from[0]), count: rows.count)
            } else {
                for row in 0..<rows.count { out[row] = compute(from[row]) }
            }
            return Column(type: type, count: rows.count, validity: rows.validity, values: values)
        }
        let values = Buffer(zeroed: bytes)
        let out = values.pointer(as: R.self)
        let selected = rows.selection!
        for i in 0..<selected.count {
            let row = Int(selected.rows[i])
            out[row] = compute(a[row])
        }
        return Column(type: type, count: rows.count, validity: rows.validity, values: values)
    }

    @inline(__always)
    static func zip<A: BitwiseCopyable, B: BitwiseCopyable, R: BitwiseCopyable>(_ type: DataType, _ left: Column, _ right: Column, _ rows: RowSet,
                                                                                as _: A.Type, _: B.Type, _ compute: (A, B) -> R) -> Column {
        let a = left.vector(A.self), b = right.vector(B.self)
        let bytes = rows.count * MemoryLayout<R>.stride
        if rows.prefersDense {
            let values = Buffer(capacity: bytes)
            let (x, y, out) = (a.base, b.base, values.pointer(as: R.self))
            switch (a.step, b.step) {
            case (1, 1): for row in 0..<rows.count { out[row] = compute(x[row], y[row]) }
            case (1, 0):
                let c = y[0]
                for row in 0..<rows.count { out[row] = compute(x[row], c) }
            case (0, 1):
                let c = x[0]
                for row in 0..<rows.count { out[row] = compute(c, y[row]) }
            default: out.update(repeating: compute(x[0], y[0]), count: rows.count)
            }
            return Column(type: type, count: rows.count, validity: rows.validity, values: values)
        }
        let values = Buffer(zeroed: bytes)
        let out = values.pointer(as: R.self)
        let selected = rows.selection!
        for i in 0..<selected.count {
            let row = Int(selected.rows[i])
            out[row] = compute(a[row], b[row])
        }
        return Column(type: type, count: rows.count, validity: rows.validity, values: values)
    }
}
