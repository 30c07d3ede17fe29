import StreamCore

/// Loops that make selections. Throughout this folder a nil selection means "all rows of the batch", and a nil result of a
/// filtering step means "all the rows that were given".
enum Selections {
    /// The given rows that pass `test`; nil when all do. `validity`, when given, must be set too.
    @inline(__always)
    static func filter(_ rows: Selection?, count: Int, validity: Buffer?, _ test: (Int) -> Bool) -> Selection? {
        let given = rows?.count ?? count
        let buffer = Buffer(capacity: given * 4)
        let out = buffer.pointer(as: Int32.self)
        var n = 0
        // Branch-free: every row is written, and the place advances only when it passes.
        if let rows = rows?.rows {
            if let bits = validity?.base.assumingMemoryBound(to: UInt8.self) {
                for i in 0..<given {
                    let row = rows[i]
                    out[n] = row
                    n &+= (test(Int(row)) ? 1 : 0) & Int(truncatingIfNeeded: bits[Int(row) >> 3] >> UInt8(truncatingIfNeeded: row & 7))
                }
            } else {
                for i in 0..<given {
                    let row = rows[i]
                    out[n] = row
                    n &+= test(Int(row)) ? 1 : 0
                }
            }
        } else if let bits = validity?.base.assumingMemoryBound(to: UInt8.self) {
            for row in 0..<given {
                out[n] = Int32(truncatingIfNeeded: row)
                n &+= (test(row) ? 1 : 0) & Int(truncatingIfNeeded: bits[row >> 3] >> UInt8(truncatingIfNeeded: row & 7))
            }
        } else {
            for row in 0..<given {
                out[n] = Int32(truncatingIfNeeded: row)
                n &+= test(row) ? 1 : 0
            }
        }
        return n == given ? nil : Selection(buffer: buffer, count: n)
    }

    static let none = Selection(buffer: .empty, count: 0)

    /// The given rows that are not in `taken`, which is a part of them in the same order.
    static func subtract(_ taken: Selection, from rows: Selection?, count: Int) -> Selection {
        let given = rows?.count ?? count
        let buffer = Buffer(capacity: given * 4 + 4)
        let (out, skip) = (buffer.pointer(as: Int32.self), taken.rows)
        var n = 0, k = 0
        // Branch-free as above; one read past the end of `taken` falls into its buffer's padding.
        if let from = rows?.rows {
            for i in 0..<given {
                let row = from[i]
                let hit = (k < taken.count ? 1 : 0) & (skip[k] == row ? 1 : 0)
                out[n] = row
                k &+= hit
                n &+= 1 &- hit
            }
        } else {
            for i in 0..<given {
                let row = Int32(truncatingIfNeeded: i)
                let hit = (k < taken.count ? 1 : 0) & (skip[k] == row ? 1 : 0)
                out[n] = row
                k &+= hit
                n &+= 1 &- hit
            }
        }
        return Selection(buffer: buffer, count: n)
    }
}
