import Foundation
import StreamCore

/// How the values of one column become partition paths by the time that they stand for, as Hudi's timestamp-based key generator
/// does it. The column itself keeps its values.
package struct TimestampPartition: Sendable, Equatable {
    /// What a column of numbers or text holds. Columns of times and dates say themselves what they are.
    package enum Input: Sendable, Equatable {
        /// Numbers of units since 1970; a unit is a thousandth of a microsecond times this.
        case number(nanoseconds: Int64)
        /// Text in the first of these patterns that fits.
        case text([TimePattern])
    }

    package var input: Input
    /// Of texts that do not say their offset.
    package var inputZone: String
    package var output: TimePattern
    package var outputZone: String

    /// - Throws: `.validate` for time zones that are not known.
    package init(input: Input, inputZone: String = "UTC", output: TimePattern, outputZone: String = "UTC") throws {
        (self.input, self.inputZone, self.output, self.outputZone) = (input, inputZone, output, outputZone)
        for name in [inputZone, outputZone] { _ = try Zone(name) }
    }

    /// How many folders deep its partitions are.
    package var levels: Int { output.text.utf8.reduce(1) { $1 == 0x2F ? $0 + 1 : $0 } }

    /// Whether its values can be read from a column as the input says.
    package func accepts(_ type: DataType) -> Bool {
        if case .text = input { return type.isText }
        return type.isInteger || type == .date || type.timeUnit != nil
    }

    /// A time zone, and its offset of the last quarter of an hour that was asked for.
    private struct Zone {
        let zone: TimeZone
        private var quarter = Int64.min, offset = 0

        init(_ name: String) throws {
            guard let zone = TimeZone(identifier: name) ?? TimeZone(abbreviation: name) else {
                throw StreamError(.validate, "time zone '\(name)' is not known", fix: "write a name such as 'UTC' or 'Europe/Oslo', or 'GMT+2'")
            }
            self.zone = zone
        }

        mutating func offset(atUTC micros: Int64) -> Int {
            let now = TimePattern.floor(micros, 900_000_000)
            if now != quarter {
                quarter = now
                offset = zone.secondsFromGMT(for: Date(timeIntervalSince1970: Double(now) * 900))
            }
            return offset
        }

        /// The offset at a time of the local clock; the earlier one where the clock is put back.
        mutating func offset(atLocal micros: Int64) -> Int {
            let guess = offset(atUTC: micros)
            return offset(atUTC: micros - Int64(guess) * 1_000_000)
        }
    }

    /// The path of each row's partition, without the column's name.
    /// - Throws: `.runtime` for text that does not follow the pattern.
    package func texts(_ column: Column, name: String) throws -> TextColumn {
        let column = column.flat(), n = column.count
        var bytes: [UInt8] = [], offsets: [Int32] = [0]
        bytes.reserveCapacity(n * 16)
        offsets.reserveCapacity(n + 1)
        var zone = try Zone(outputZone), inputZone = try Zone(self.inputZone)
        let step: Int64 = output.isCoarse ? 60_000_000 : 1
        var known: (bucket: Int64, text: [UInt8])?
        func add(_ micros: Int64) throws {
            // Offsets of today's clocks are whole minutes; those of old ones are not.
            let bucket = step > 1 && micros > 0 ? micros / step : micros
            if known?.bucket != bucket {
                var text: [UInt8] = []
                let offset = zone.offset(atUTC: micros)
                output.write(micros + Int64(offset) * 1_000_000, offset: offset, to: &text)
                known = (bucket, text)
            }
            bytes += known!.text
            guard bytes.count <= Int(Int32.max) else { throw StreamError(.runtime, "partition column \(name): the paths of one batch take more than 2 GiB") }
            offsets.append(Int32(truncatingIfNeeded: bytes.count))
        }
        for row in 0..<n { try add(try micros(column, row, name, &inputZone)) }
        return TextColumn(count: n, bytes: bytes.withUnsafeBytes { Buffer(copying: $0) }, offsets: offsets.withUnsafeBytes { Buffer(copying: $0) })
    }

    /// Microseconds since 1970 in UTC. NULL counts as the first unit after the start of 1970, as in Hudi.
    private func micros(_ column: Column, _ row: Int, _ name: String, _ zone: inout Zone) throws -> Int64 {
        let isValid = column.isValid(row)
        switch input {
        case .text(let patterns):
            guard isValid else { return 1_000 }
            let text = column.bytes(at: row)
            for pattern in patterns {
                guard let (local, offset) = pattern.parse(text) else { continue }
                return local - Int64(offset ?? zone.offset(atLocal: local)) * 1_000_000
            }
            throw StreamError(.runtime, "partition column \(name) has the value '\(String(decoding: text, as: UTF8.self))', which does not follow "
                              + "'\(patterns.map(\.text).joined(separator: "' or '"))'", fix: "correct the value, or set the input format to what the column holds")
        case .number(let unit):
            if !isValid { return max(1, unit / 1_000) }
            switch column.type.physical {
            case .int64:
                let value = column.pointer(as: Int64.self)[row]
                if let of = column.type.timeUnit { return of == .milliseconds ? value * 1_000 : value }
                return Self.scaled(value, unit)
            case .int32:
                let value = Int64(column.pointer(as: Int32.self)[row])
                return column.type == .date ? value * 86_400_000_000 : Self.scaled(value, unit)
            case .int16: return Self.scaled(Int64(column.pointer(as: Int16.self)[row]), unit)
            default: return Self.scaled(Int64(column.pointer(as: Int8.self)[row]), unit)
            }
        }
    }

    /// A number that stands for no time of the calendar counts as its last or first one.
    private static func scaled(_ value: Int64, _ nanoseconds: Int64) -> Int64 {
        if nanoseconds < 1_000 { return TimePattern.floor(value, 1_000 / nanoseconds) }
        let (micros, overflow) = value.multipliedReportingOverflow(by: nanoseconds / 1_000)
        let limit: Int64 = 253_402_300_799_999_999  // the end of 9999
        return overflow ? (value > 0 ? limit : -limit) : min(max(micros, -limit), limit)
    }
}
