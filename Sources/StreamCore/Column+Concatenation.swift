extension Column {
    /// The columns' rows one after the other; all must be of one type.
    public static func concatenated(_ columns: [Column]) -> Column {
        if columns.count == 1 { return columns[0] }
        let parts = columns.map { $0.flat() }
        let type = parts[0].type
        let total = parts.reduce(0) { $0 + $1.count }
        var validity: Buffer?
        if parts.contains(where: { $0.validity != nil }) {
            let bits = Bitmap.make(total, valid: true)
            var at = 0
            for part in parts {
                if let from = part.validity {
                    for i in 0..<part.count where !Bitmap.get(from.base, i) { Bitmap.clear(bits.base, at + i) }
                }
                at += part.count
            }
            validity = bits
        }
        switch type.physical {
        case .row:
            return Column(type: type, count: total, validity: validity, values: .empty,
                          children: parts[0].children.indices.map { c in concatenated(parts.map { $0.children[c] }) })
        case .list, .map:
            let values = Buffer(capacity: (total + 1) * 4)
            let to = values.pointer(as: Int32.self)
            to[0] = 0
            var at = 0
            // Offsets need not start at 0 in a part: only the children that they span are taken over.
            var inner: [[Column]] = parts[0].children.map { _ in [] }
            for part in parts {
                let from = part.codes
                let first = from[0], used = Int(from[part.count] - first)
                for i in 0..<part.count { to[at + i + 1] = to[at + i] + from[i + 1] - from[i] }
                at += part.count
                let rows = Selection.range(Int(first)..<Int(first) + used)
                for c in part.children.indices { inner[c].append(part.children[c].gather(rows.rows, count: used)) }
            }
            return Column(type: type, count: total, validity: validity, values: values, children: inner.map { concatenated($0) })
        default:
            let width = type.width
            let values = Buffer(capacity: total * width)
            var heaps: [Buffer] = []
            var at = 0
            for part in parts {
                (values.base + at * width).copyMemory(from: part.values.base, byteCount: part.count * width)
                if type.physical == .view {
                    if !part.heaps.isEmpty, !heaps.isEmpty {
                        let views = values.pointer(as: StringView.self) + at
                        for i in 0..<part.count where views[i].length > 12 { views[i].heapIndex += Int32(heaps.count) }
                    }
                    heaps += part.heaps
                }
                at += part.count
            }
            return Column(type: type, count: total, validity: validity, values: values, heaps: heaps)
        }
    }
}
