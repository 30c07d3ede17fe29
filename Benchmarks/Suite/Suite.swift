import StreamCore
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Makes the input, runs every case, and prints the table that the README quotes.
struct Suite {
    private var rows = 5_000_000
    private var directory: String
    private var binary: String?

    init(_ arguments: [String]) throws {
        directory = (getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp") + "/swiftwater-bench"
        var rest = arguments[...]
        while let option = rest.popFirst() {
            guard let value = rest.popFirst() else { throw StreamError(.validate, "\(option) has no value", fix: "write \(option) VALUE") }
            switch option {
            case "--rows":
                guard let n = Int(value), n > 0 else { throw StreamError(.validate, "--rows '\(value)' is not a number") }
                rows = n
            case "--dir": directory = value
            case "--binary": binary = value
            default: throw StreamError(.validate, "there is no option \(option)", fix: "use --rows, --dir or --binary")
            }
        }
    }

    private struct Measure {
        var rows: Double, wall: Double, cpu: Double, peak: Double
        var perCPU: Double { rows / cpu }
        var perSecond: Double { rows / wall }
    }

    func run() throws {
        try makeInput()
        let read3 = try measure("read3"), hop3 = try measure("hop3"), read4 = try measure("read4"), filter = try measure("filter")
        let keys = try measure("keys")
        let hop3x1 = try measure("hop3x1"), hop3x2 = try measure("hop3x2")
        let filterx1 = try measure("filterx1"), filterx2 = try measure("filterx2")
        let keysx1 = try measure("keysx1"), keysx2 = try measure("keysx2")
        let hudi = try measure("hudi", fresh: "hudi-table")
        let long3 = try measure("hop3-long"), checkpoints3 = try measure("hop3-checkpoints", fresh: "checkpoints")
        let longKeys = try measure("keys-long"), checkpointsKeys = try measure("keys-checkpoints", fresh: "checkpoints")
        line("case", "M rows/s", "peak MiB", "ratio", "wanted")
        line("read 3 of 4 columns", rate(read3.perSecond), mib(read3.peak), "-", "-")
        line("HOP 10 s/1 min, 3 statuses, 1 worker", rate(hop3.perSecond), mib(hop3.peak),
             "\(number(hop3.perSecond / read3.perSecond, 2)) of read", "8 M/s, 0.60 of read")
        line("read 4 columns", rate(read4.perSecond), mib(read4.peak), "-", "-")
        line("filter to blackhole, 1 worker", rate(filter.perSecond), mib(filter.peak), "\(number(filter.perSecond / read4.perSecond, 2)) of read", "0.75 of read")
        line("HOP by 1 M keys, 1 worker", rate(keys.perSecond), mib(keys.peak), "-", "5 M/s, < 1024 MiB")
        line("HOP 3 statuses, 2 workers", rate(hop3x2.perSecond), mib(hop3x2.peak), "\(number(hop3x2.perSecond / hop3x1.perSecond, 2)) of 1 worker", "1.7 of 1 worker")
        line("filter, 2 workers", rate(filterx2.perSecond), mib(filterx2.peak), "\(number(filterx2.perSecond / filterx1.perSecond, 2)) of 1 worker", "1.7 of 1 worker")
        line("HOP by 1 M keys, 2 workers", rate(keysx2.perSecond), mib(keysx2.peak), "\(number(keysx2.perSecond / keysx1.perSecond, 2)) of 1 worker", "1.7 of 1 worker")
        line("HOP 3 statuses, checkpoint each second", rate(checkpoints3.perSecond), mib(checkpoints3.peak),
             "\(number(checkpoints3.perSecond / long3.perSecond, 2)) of without", "0.95 of without")
        line("HOP by 1 M keys, checkpoint each second", rate(checkpointsKeys.perSecond), mib(checkpointsKeys.peak),
             "\(number(checkpointsKeys.perSecond / longKeys.perSecond, 2)) of without", "0.85 of without")
        line("Hudi insert, 5 columns, zstd", rate(hudi.perSecond), mib(hudi.peak), "-", "1.2 M/s, < 1024 MiB")
        if let binary { try startUp(binary) }
    }

    private func makeInput() throws {
        try? makeDirectory("sensors")
        try? makeDirectory("keys")
        func need(_ path: String, _ file: SensorFile) throws {
            if access(path, R_OK) == 0 { return }
            note("making \(path)")
            try file.write(to: path)
        }
        let tag = "\(rows)"
        for (name, keys, rate) in [("sensors", 99, 10_000), ("keys", 1_000_000, 100_000)] {
            let n = name == "keys" ? rows * 2 : rows
            try need("\(directory)/\(name)-\(tag).json", SensorFile(rows: n, keys: keys, rate: rate, seed: 1))
            for half in 0..<2 {
                try need("\(directory)/\(name)/\(tag)-\(half).json", SensorFile(rows: n / 2, keys: keys, rate: rate / 2, seed: 2 + UInt64(half)))
            }
            unlink("\(directory)/\(name)-a.json")
            symlink("\(directory)/\(name)-\(tag).json", "\(directory)/\(name)-a.json")
        }
    }

    private func makeDirectory(_ name: String) throws {
        mkdir(directory, 0o755)
        mkdir("\(directory)/\(name)", 0o755)
    }

    /// The best of three runs; `fresh` names a directory that must not exist before each.
    private func measure(_ name: String, fresh: String? = nil) throws -> Measure {
        var best: Measure?
        for _ in 0..<3 {
            if let fresh { try spawn(["/bin/rm", "-rf", "\(directory)/\(fresh)"]) }
            let output = try spawn([CommandLine.arguments[0], "case", name, directory])
            let parts = output.split(whereSeparator: \.isWhitespace).compactMap { Double($0) }
            guard parts.count == 4 else { throw StreamError(.runtime, "case \(name) printed '\(output)'") }
            let one = Measure(rows: parts[0], wall: parts[1], cpu: parts[2], peak: parts[3])
            if best == nil || one.wall < best!.wall { best = one }
        }
        return best!
    }

    private func startUp(_ binary: String) throws {
        var best = Double.infinity, peak = 0
        for _ in 0..<10 {
            let started = Clock.monotonicNanoseconds()
            var usage = rusage()
            try spawn([binary, "sql", "-e", "SELECT 1"], usage: &usage)
            best = min(best, Double(Clock.monotonicNanoseconds() - started) / 1e6)
            peak = max(peak, usage.ru_maxrss * 1_024)
        }
        line("sql -e \"SELECT 1\"", "\(number(best, 0)) ms", mib(Double(peak)), "-", "50 ms, 60 MiB")
        var info = stat()
        stat(binary, &info)
        line("binary", "-", mib(Double(info.st_size)), "-", "< 100 MiB stripped")
    }

    @discardableResult
    private func spawn(_ command: [String]) throws -> String {
        var usage = rusage()
        return try spawn(command, usage: &usage)
    }

    /// Runs a program to its end and gives what it printed.
    @discardableResult
    private func spawn(_ command: [String], usage: inout rusage) throws -> String {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw StreamError(.io, "no pipe: \(String(cString: strerror(errno)))") }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
        posix_spawn_file_actions_addclose(&actions, ends[0])
        var child: pid_t = 0
        let argv = command.map { strdup($0) } + [nil]
        defer { argv.forEach { free($0) } }
        guard posix_spawnp(&child, command[0], &actions, nil, argv, environ) == 0 else {
            throw StreamError(.io, "cannot start \(command[0])")
        }
        posix_spawn_file_actions_destroy(&actions)
        close(ends[1])
        var output: [UInt8] = [], chunk = [UInt8](repeating: 0, count: 4_096)
        while case let n = read(ends[0], &chunk, chunk.count), n > 0 { output += chunk[..<n] }
        close(ends[0])
        var status: Int32 = 0
        wait4(child, &status, 0, &usage)
        guard status == 0 else { throw StreamError(.runtime, "\(command.joined(separator: " ")) failed with status \(status)") }
        return String(decoding: output, as: UTF8.self)
    }

    private func rate(_ x: Double) -> String { number(x / 1e6, 2) }
    private func mib(_ x: Double) -> String { number(x / 1_048_576, 0) }

    private func number(_ x: Double, _ decimals: Int) -> String {
        let scale = decimals == 0 ? 1.0 : 100.0
        let scaled = Int((x * scale).rounded())
        return decimals == 0 ? "\(scaled)" : "\(scaled / 100)." + (scaled % 100 < 10 ? "0" : "") + "\(scaled % 100)"
    }

    private func line(_ cells: String...) {
        let widths = [38, 9, 9, 18, 22]
        print(zip(cells, widths).map { $0 + String(repeating: " ", count: max(1, $1 - $0.count)) }.joined())
    }
}
