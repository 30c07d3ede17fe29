import Foundation
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// What the system says of a process, under the names that Prometheus' client libraries use.
public struct ProcessMetrics: Sendable {
    var metrics: [(name: String, kind: MetricKind, help: String, value: Double)] = []

    /// Names and values.
    public var samples: [(name: String, value: Double)] { metrics.map { ($0.name, $0.value) } }

    private mutating func add(_ name: String, _ kind: MetricKind, _ help: String, _ value: Double?) {
        if let value { metrics.append((name, kind, help, value)) }
    }

    /// Of this process. What the system does not tell is left out.
    public static func current() -> ProcessMetrics {
        var all = ProcessMetrics()
        var usage = rusage()
        if getrusage(rusageSelf, &usage) == 0 {
            func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1_000_000 }
            all.add("process_cpu_seconds_total", .counter, "Processor time used by the process, in seconds.", seconds(usage.ru_utime) + seconds(usage.ru_stime))
        }
        var limit = rlimit()
        if getrlimit(openFiles, &limit) == 0 {
            all.add("process_max_fds", .gauge, "Files that the process may have open.", Double(limit.rlim_cur))
        }
        #if os(Linux)
        let page = Double(sysconf(Int32(_SC_PAGESIZE)))
        let sizes = read("/proc/self/statm").split(separator: " ").compactMap { Double($0) }
        if sizes.count > 1 {
            all.add("process_virtual_memory_bytes", .gauge, "Address space of the process.", sizes[0] * page)
            all.add("process_resident_memory_bytes", .gauge, "Memory of the process that is in RAM.", sizes[1] * page)
        }
        // Behind the name, which may have spaces: state is field 3 of the line.
        let stat = read("/proc/self/stat")
        let fields = stat.lastIndex(of: ")").map { stat[stat.index(after: $0)...].split(separator: " ") } ?? []
        if fields.count > 19 {
            all.add("process_threads", .gauge, "Threads of the process.", Double(fields[17]))
            let boot = read("/proc/stat").split(separator: "\n").first { $0.hasPrefix("btime ") }.flatMap { Double($0.dropFirst(6)) }
            if let boot, let ticks = Double(fields[19]) {
                all.add("process_start_time_seconds", .gauge, "When the process was started, in seconds since 1970.", boot + ticks / Double(sysconf(Int32(_SC_CLK_TCK))))
            }
        }
        let open = try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count
        all.add("process_open_fds", .gauge, "Files that the process has open.", open.map(Double.init))
        #endif
        return all
    }

    #if os(Linux)
    private static let rusageSelf = RUSAGE_SELF.rawValue
    private static let openFiles = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    #else
    private static let rusageSelf = RUSAGE_SELF
    private static let openFiles = RLIMIT_NOFILE
    #endif

    private static func read(_ path: String) -> String { (try? String(contentsOfFile: path, encoding: .utf8)) ?? "" }
}
