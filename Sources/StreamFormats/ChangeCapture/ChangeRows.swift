import StreamCore

/// The rows of a batch of changes, as indices into the images that its messages hold.
struct ChangeRows {
    /// An index into the new images, or ~index into the old ones.
    private var picks: [Int32] = []
    /// For old images, the new image that has what they leave out.
    private var pairs: [Int32] = []
    private var kinds: [UInt8] = []
    /// Which message each row came from.
    private(set) var envelopes: [Int32] = []
    private var hasOld = false
    private var hasChanges = false

    init(capacity: Int) {
        picks.reserveCapacity(capacity)
        pairs.reserveCapacity(capacity)
        kinds.reserveCapacity(capacity)
        envelopes.reserveCapacity(capacity)
    }

    var count: Int { picks.count }

    /// The kinds of an update whose rows have different keys: the old row goes, another one comes.
    mutating func makeReplacement(at row: Int) {
        kinds[row] = RowKind.delete.rawValue
        kinds[row + 1] = RowKind.insert.rawValue
    }

    /// Drops the rows before updates. Returns which rows stay; nil = all.
    mutating func dropUpdateBefore() -> [Int32]? {
        guard hasOld else { return nil }
        let kept = kinds.indices.filter { kinds[$0] != RowKind.updateBefore.rawValue }
        guard kept.count < kinds.count else { return nil }
        (picks, pairs) = (kept.map { picks[$0] }, kept.map { pairs[$0] })
        (kinds, envelopes) = (kept.map { kinds[$0] }, kept.map { envelopes[$0] })
        return kept.map { Int32(truncatingIfNeeded: $0) }
    }

    /// I, U or D for each row: what becomes of it.
    func letters() -> Column {
        let values = Buffer(zeroed: max(count, 1) * MemoryLayout<StringView>.stride), views = values.pointer(as: StringView.self)
        for i in 0..<count {
            // +I, -U, +U, -D
            let letter: StaticString = kinds[i] == 0 ? "I" : kinds[i] == 3 ? "D" : "U"
            views[i] = .inline(letter.utf8Start, 1)
        }
        return Column(type: .string, count: count, values: values)
    }

    /// Rows that begin an update, each followed by its other half.
    var updates: [Int] { hasOld ? kinds.indices.filter { kinds[$0] == RowKind.updateBefore.rawValue } : [] }

    mutating func add(new: Int, _ kind: RowKind, _ envelope: Int) {
        append(Int32(truncatingIfNeeded: new), pair: Int32(truncatingIfNeeded: new), kind, envelope)
    }

    mutating func add(old: Int, pairedWith new: Int, _ kind: RowKind, _ envelope: Int) {
        hasOld = true
        append(~Int32(truncatingIfNeeded: old), pair: Int32(truncatingIfNeeded: new), kind, envelope)
    }

    private mutating func append(_ pick: Int32, pair: Int32, _ kind: RowKind, _ envelope: Int) {
        if kind != .insert { hasChanges = true }
        picks.append(pick)
        pairs.append(pair)
        kinds.append(kind.rawValue)
        envelopes.append(Int32(truncatingIfNeeded: envelope))
    }

    /// nil when all are inserts.
    func kindBuffer() -> Buffer? { hasChanges ? kinds.withUnsafeBytes { Buffer(copying: $0) } : nil }

    /// - Parameters:
    ///   - new: columns of the images of rows as they are, `newCount` long.
    ///   - old: columns of the images of rows as they were, which share their heaps with `new`.
    ///   - oldMissing: per column a bit for each old image that leaves it out, because it did not change.
    func columns(new: [Column], old: [Column], oldMissing: [Buffer]?, newCount: Int) -> [Column] {
        // Images are picked in their order, each at most once.
        if !hasOld, count == newCount { return new }
        if !hasOld { return picks.withUnsafeBufferPointer { picks in new.map { $0.gather(picks.baseAddress ?? Self.none, count: count) } } }
        let shared = indices(newCount, missing: nil)
        return new.indices.map { i in
            let at = oldMissing.map { indices(newCount, missing: $0[i]) } ?? shared
            return at.withUnsafeBufferPointer { Self.stacked(new[i], old[i]).gather($0.baseAddress ?? Self.none, count: count) }
        }
    }

    /// VARIANT columns: rows of old images have the members of the new one that they leave out.
    func mergedWhole(new: Column, old: Column) -> Column {
        let builder = ColumnBuilder(type: .variant, capacity: count)
        var writer = VariantWriter()
        for i in 0..<count {
            let pick = Int(picks[i])
            guard pick < 0 else {
                if new.isValid(pick) { builder.append(bytes: new.bytes(at: pick)) } else { builder.appendNull() }
                continue
            }
            guard old.isValid(~pick), new.isValid(Int(pairs[i])) else {
                builder.appendNull()
                continue
            }
            let (now, before) = (Variant(new.bytes(at: Int(pairs[i]))), Variant(old.bytes(at: ~pick)))
            writer.removeAll()
            writer.object { out, next in
                // Of equal keys the last one stays.
                for source in [now, before] {
                    for j in 0..<source.count {
                        out.append(source.value(j))
                        next(&out, Array(source.key(j)))
                    }
                }
            }
            writer.bytes.withUnsafeBytes { builder.append(bytes: $0) }
        }
        return builder.finish()
    }

    private static var none: UnsafePointer<Int32> { UnsafePointer(Buffer.empty.pointer(as: Int32.self)) }

    /// Indices into new images followed by old ones.
    private func indices(_ newCount: Int, missing: Buffer?) -> [Int32] {
        let start = Int32(truncatingIfNeeded: newCount)
        return [Int32](unsafeUninitializedCapacity: count) { out, filled in
            for i in 0..<count {
                let pick = picks[i]
                if pick >= 0 {
                    out[i] = pick
                } else if let missing, Bitmap.get(missing.base, Int(~pick)) {
                    out[i] = pairs[i]
                } else {
                    out[i] = start &+ ~pick
                }
            }
            filled = count
        }
    }

    /// The values of `a`, then those of `b`. Both are plain columns of one type that were filled together.
    static func stacked(_ a: Column, _ b: Column) -> Column {
        let n = a.count + b.count
        var validity: Buffer?
        if a.validity != nil || b.validity != nil {
            let bits = Bitmap.make(n, valid: true)
            for (column, offset) in [(a, 0), (b, a.count)] {
                guard let from = column.validity?.base else { continue }
                for i in 0..<column.count where !Bitmap.get(from, i) { Bitmap.clear(bits.base, offset + i) }
            }
            validity = bits
        }
        var values = Buffer.empty
        switch a.type.physical {
        case .null, .row: break
        case .list, .map:
            values = Buffer(capacity: (n + 1) * 4)
            let out = values.pointer(as: Int32.self), shift = a.codes[a.count]
            out.update(from: a.codes, count: a.count + 1)
            for i in 0...b.count { out[a.count + i] = shift + b.codes[i] }
        default:
            let width = a.type.width
            values = Buffer(capacity: n * width)
            values.base.copyMemory(from: a.values.base, byteCount: a.count * width)
            (values.base + a.count * width).copyMemory(from: b.values.base, byteCount: b.count * width)
        }
        return Column(type: a.type, count: n, validity: validity, values: values, heaps: a.heaps,
                      children: zip(a.children, b.children).map { stacked($0, $1) })
    }
}
