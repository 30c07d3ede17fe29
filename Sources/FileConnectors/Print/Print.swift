import StreamCore
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// `'connector' = 'print'`: one line per row on standard output, in Flink's form: `+I[a, 1, null]`.
public struct PrintConnector: TableConnector {
    private let output: Int32, error: Int32

    /// - Parameters output, error: file descriptors that stand for standard output and standard error.
    public init(output: Int32 = 1, error: Int32 = 2) { (self.output, self.error) = (output, error) }

    public var identifier: String { "print" }

    public func optionKeys(for table: TableDescriptor) -> Set<String> {
        ["connector", "print-identifier", "standard-error", "sink.parallelism"]
    }

    public func validate(_ table: TableDescriptor) throws {
        _ = try TableOptions(table).bool("standard-error")
        _ = try TableOptions(table).int("sink.parallelism", in: 1...10_000)
    }

    public func sink(for table: TableDescriptor, timeZone: String) throws -> any TableSink {
        let options = TableOptions(table)
        return PrintSink(types: table.schema.map(\.type), prefix: options.string("print-identifier") ?? "",
                         descriptor: try options.bool("standard-error") == true ? error : output,
                         maxParallelism: try options.int("sink.parallelism", in: 1...10_000))
    }
}

private struct PrintSink: TableSink {
    let types: [DataType]
    let prefix: String
    let descriptor: Int32
    let maxParallelism: Int?

    var acceptsChanges: Bool { true }
    var keepsRows: Bool { false }

    func writer(_ context: SinkContext) throws -> any SinkWriter {
        // As Flink marks lines: `name> `, with several subtasks `name:2> `, without a name `2> `.
        let number = context.parallelism > 1 ? String(context.subtask + 1) : ""
        let mark = prefix + (prefix.isEmpty || number.isEmpty ? "" : ":") + number
        return PrintWriter(types: types, mark: mark.isEmpty ? [] : Array((mark + "> ").utf8), descriptor: descriptor)
    }
}

private final class PrintWriter: SinkWriter {
    private let types: [DataType]
    private let mark: [UInt8]
    private let descriptor: Int32
    private var lines: [UInt8] = []

    /// Writers of all subtasks take turns, so that lines stay whole.
    private static let turn = Mutex<Void>(())

    init(types: [DataType], mark: [UInt8], descriptor: Int32) {
        self.types = types
        self.mark = mark
        self.descriptor = descriptor
    }

    func write(_ batch: Batch) throws {
        for i in 0..<batch.count {
            let row = batch.row(i)
            lines += mark
            lines += batch.kind(atPhysical: row).description.utf8
            lines.append(UInt8(ascii: "["))
            for (c, type) in types.enumerated() {
                if c > 0 { lines += ", ".utf8 }
                JavaText.append(batch.columns[c].value(at: row), type, to: &lines)
            }
            lines += "]\n".utf8
            if lines.count >= 1 << 16 { try flush() }
        }
        try flush()
    }

    func prepareCommit(_ checkpoint: UInt64) throws -> [Committable] { [] }

    private func flush() throws {
        try Self.turn.withLock { _ in
            try lines.withUnsafeBytes { bytes in
                var done = 0
                while done < bytes.count {
                    let n = Self.put(descriptor, bytes.baseAddress! + done, bytes.count - done)
                    if n < 0, errno == EINTR { continue }
                    if n < 0, errno == EAGAIN {
                        // A terminal that another program made non-blocking.
                        var wanted = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                        poll(&wanted, 1, -1)
                        continue
                    }
                    guard n > 0 else {
                        throw StreamError(.io, "cannot print to \(descriptor == 2 ? "standard error" : "standard output"): \(String(cString: strerror(errno)))")
                    }
                    done += n
                }
            }
        }
        lines.removeAll(keepingCapacity: true)
    }

    private static func put(_ fd: Int32, _ bytes: UnsafeRawPointer, _ count: Int) -> Int {
        #if canImport(Glibc)
        Glibc.write(fd, bytes, count)
        #else
        Darwin.write(fd, bytes, count)
        #endif
    }
}
