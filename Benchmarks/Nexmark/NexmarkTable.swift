import Nexmark
import StreamCore
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// All queries, each beside what Flink took for it.
struct NexmarkTable {
    /// CPU-seconds of Flink 2.3.0 for 5 M events on the machine that our own figures are of.
    static let flink: [String: Double] = [
        "q0": 22.3, "q1": 20.9, "q2": 21.5, "q3": 30.2, "q4": 67.6, "q5": 42.4, "q7": 69.3, "q8": 24.7, "q9": 76.6, "q11": 38.9, "q15": 49.4,
        "q16": 184.6, "q17": 32.8, "q18": 42.7, "q19": 61.9, "q20": 51.8, "q21": 34.3, "q22": 26.0,
    ]
    private static let flinkEvents = 5_000_000.0

    var events = 5_000_000, file: String?, workers = 1
    /// As Flink's were.
    var settings = ["table.exec.mini-batch.enabled=true", "table.exec.mini-batch.allow-latency=2 s", "table.exec.mini-batch.size=50000"]
    var queries: [String] = []

    init(_ arguments: [String]) throws {
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            func value() throws -> String {
                guard let value = rest.popFirst() else { throw StreamError(.validate, "\(argument) has no value") }
                return value
            }
            func number() throws -> Int {
                let text = try value()
                guard let n = Int(text), n > 0 else { throw StreamError(.validate, "\(argument) \(text) is not a number above 0") }
                return n
            }
            switch argument {
            case "--events": events = try number()
            case "--workers": workers = try number()
            case "--file": file = try value()
            case "--set": settings.append(try value())
            case let name where NexmarkQueries.names.contains(name): queries.append(name)
            default:
                throw StreamError(.validate, "'\(argument)' is neither an option nor a query",
                                  fix: "use --events, --file, --workers, --set, or one of " + NexmarkQueries.names.joined(separator: ", "))
            }
        }
        if queries.isEmpty { queries = NexmarkQueries.names }
    }

    func run() throws {
        let path = file ?? "\(getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp")/nexmark-\(events).json"
        if !Host.exists(path) {
            note("making \(events) events in \(path)")
            try NexmarkGenerator(seed: 1).write(events: events, to: path)
        }
        print("Nexmark, \(events) events, \(workers) worker\(workers == 1 ? "" : "s"); \(settings.joined(separator: ", "))")
        say(Self.row("query", "CPU s", "events/CPU-s", "Flink", "ratio", "peak MB"))
        var ratios: [Double] = []
        for query in queries {
            guard let (cpu, bytes) = try measure(query, path) else {
                say(Self.row(query, "-", "does not run", "", "", ""))
                continue
            }
            let rate = Double(events) / cpu
            let theirs = Self.flink[query].map { Self.flinkEvents / $0 }
            if let theirs { ratios.append(rate / theirs) }
            say(Self.row(query, Self.decimals(cpu, 2), "\(Int(rate))", theirs.map { "\(Int($0))" } ?? "-",
                           theirs.map { Self.decimals(rate / $0, 1) } ?? "-", "\(bytes >> 20)"))
        }
        guard !ratios.isEmpty else { return }
        let mean = exp(ratios.reduce(0) { $0 + log($1) } / Double(ratios.count))
        print("\(ratios.count) queries: geometric mean \(Self.decimals(mean, 1)) x Flink, least \(Self.decimals(ratios.min()!, 1)) x")
    }

    private static func decimals(_ x: Double, _ places: Int) -> String {
        let power = pow(10, Double(places)), whole = Int((x * power).rounded())
        let digits = String(whole % Int(power))
        return "\(whole / Int(power))." + String(repeating: "0", count: places - digits.count) + digits
    }

    private static func row(_ cells: String...) -> String {
        zip(cells, [6, 8, 14, 10, 7, 9]).map { cell, width in String(repeating: " ", count: max(0, width - cell.count)) + cell }.joined()
    }

    /// CPU-seconds and peak memory of one query in a process of its own; nil when it is refused.
    private func measure(_ query: String, _ path: String) throws -> (cpu: Double, bytes: Int)? {
        let command = ([Self.program, "run", query, path, "\(workers)"] + settings).map { "'" + $0 + "'" }.joined(separator: " ")
        guard let pipe = popen(command, "r") else { throw StreamError(.io, "cannot start \(command)") }
        var text = ""
        var buffer = [CChar](repeating: 0, count: 256)
        while fgets(&buffer, Int32(buffer.count), pipe) != nil {
            text += String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }
        guard pclose(pipe) == 0 else { return nil }
        let parts = text.split { $0 == " " || $0 == "\n" }
        guard parts.count == 3, let cpu = Double(parts[1]), let bytes = Int(parts[2]) else {
            throw StreamError(.runtime, "\(query) printed '\(text)', not three numbers")
        }
        return (cpu, bytes)
    }

    private static var program: String {
        var path = [CChar](repeating: 0, count: 4_096)
        let n = readlink("/proc/self/exe", &path, path.count - 1)
        return n > 0 ? String(decoding: path[..<n].map { UInt8(bitPattern: $0) }, as: UTF8.self) : CommandLine.arguments[0]
    }
}

/// A line for people, on standard error.
func note(_ text: String) {
    var line = text + "\n"
    line.withUTF8 { _ = write(2, $0.baseAddress, $0.count) }
}

/// A line of the table, at once.
func say(_ text: String) {
    print(text)
    fflush(nil)
}
