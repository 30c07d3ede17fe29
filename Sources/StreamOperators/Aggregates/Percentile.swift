import StreamCore

/// PERCENTILE(value, percentage [, frequency]): exact, between two values by how near it is to each.
enum Percentile {
    static func of(_ entries: [ValueList.Entry]) -> Value {
        var values: [(value: Double, rows: Int64)] = []
        for entry in entries {
            guard case .double(let value) = entry.values[0] else { continue }
            var rows: Int64 = 1
            if entry.values.count > 2 {
                guard case .int(let frequency) = entry.values[2], frequency > 0 else { continue }
                rows = frequency
            }
            values.append((value, rows))
        }
        guard !values.isEmpty else { return .null }
        values.sort { $0.value < $1.value }
        var total: Int64 = 0
        let ends = values.map {
            total += $0.rows
            return total
        }
        func at(_ row: Int64) -> Double {
            var (low, high) = (0, ends.count - 1)
            while low < high {
                let middle = (low + high) / 2
                if ends[middle] > row { high = middle } else { low = middle + 1 }
            }
            return values[low].value
        }
        func percentile(_ percentage: Value) -> Value {
            guard case .double(let p) = percentage, p >= 0, p <= 1 else { return .null }
            let place = Double(total - 1) * p
            let below = place.rounded(.down), above = place.rounded(.up)
            let low = at(Int64(below))
            if below == above { return .double(low) }
            let high = at(Int64(above))
            return .double(low == high ? low : (above - place) * low + (place - below) * high)
        }
        // The percentage is the same for all rows.
        if case .array(let several) = entries[0].values[1] { return .array(several.map(percentile)) }
        return percentile(entries[0].values[1])
    }
}
