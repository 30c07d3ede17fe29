import StreamCore
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Newline-JSON sensor rows of about 110 bytes, out of order by up to 5 s; the same settings give the same bytes.
struct SensorFile {
    var rows: Int
    var keys: Int
    /// Rows per second of event time.
    var rate: Int
    var seed: UInt64

    func write(to path: String) throws {
        guard let file = fopen(path + ".tmp", "w") else { throw StreamError(.io, "cannot write \(path): \(String(cString: strerror(errno)))") }
        var state = seed &+ 0x9E37_79B9_7F4A_7C15
        func random() -> UInt64 {
            state &+= 0x9E37_79B9_7F4A_7C15
            var z = state
            z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
            return z ^ (z >> 31)
        }
        let start: Int64 = 1_704_067_200_000
        let line = UnsafeMutablePointer<UInt8>.allocate(capacity: 256)
        defer { line.deallocate() }
        for row in 0..<rows {
            let r = random(), s = random()
            let sensor = Int(r % UInt64(keys)) + 1
            // The sum of four draws is bell-shaped around 22 degrees, as room temperatures are.
            let hundredths = Int(s & 1_023) + Int(s >> 10 & 1_023) + Int(s >> 20 & 1_023) + Int(s >> 30 & 1_023) + 154
            let share = Int(s >> 40 & 0xFFFF) % 100
            let status: StaticString = share < 90 ? "OK" : share < 98 ? "WARNING" : "ERROR"
            let time = start + Int64(row) * 1_000 / Int64(rate) - Int64(r >> 32) % 4_901
            var n = 0
            func put(_ text: StaticString) {
                memcpy(line + n, text.utf8Start, text.utf8CodeUnitCount)
                n += text.utf8CodeUnitCount
            }
            put("{\"sensor_id\": ")
            n += NumberText.write(Int64(sensor), to: line + n)
            put(", \"current_temperature\": ")
            n += NumberText.write(Int64(hundredths / 100), to: line + n)
            put(".")
            line[n] = UInt8(48 + hundredths / 10 % 10)
            line[n + 1] = UInt8(48 + hundredths % 10)
            n += 2
            put(", \"status\": \"")
            put(status)
            put("\", \"event_time\": \"")
            n += DateTimeText.writeTimestamp(time, precision: 3, separator: UInt8(ascii: "T"), to: line + n)
            put("Z\"}\n")
            guard fwrite(line, 1, n, file) == n else { throw StreamError(.io, "cannot write \(path): \(String(cString: strerror(errno)))") }
        }
        guard fclose(file) == 0, rename(path + ".tmp", path) == 0 else {
            throw StreamError(.io, "cannot write \(path): \(String(cString: strerror(errno)))")
        }
    }
}

/// A line on standard error.
func note(_ text: String) {
    let line = text + "\n"
    _ = line.withCString { write(2, $0, strlen($0)) }
}
