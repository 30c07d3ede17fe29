import StreamCore
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Charts as PNG, drawn by librsvg's program.
package enum ChartPNG {
    package static let program = "rsvg-convert"
    static let bytesMax = 64 << 20

    /// - Parameters:
    ///   - svg: with colours of its own: the theme `.light` or `.dark`.
    ///   - scale: pixels of the picture for each one of the SVG; 2 suits screens of high density.
    ///   - program: takes the options of `rsvg-convert`; found through PATH unless it has a slash.
    /// - Throws: `.io` when the program is missing, fails or does not end within `seconds`.
    package static func bytes(svg: String, scale: Double = 2, seconds: Double = 20, program: String = program) throws -> [UInt8] {
        guard scale > 0, scale <= 16 else { throw StreamError(.validate, "\(scale) is no scale of a picture", fix: "choose one from 0.1 to 16") }
        let input = try file(Array(svg.utf8)), complaints = try file([])
        defer {
            close(input)
            close(complaints)
        }
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw failed("has no pipe: \(String(cString: strerror(errno)))") }
        defer { close(ends[0]) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
        let process: pid_t
        do {
            defer { close(ends[1]) }
            process = try spawn([program, "--format=png", "--zoom=\(scale)"], input: input, output: ends[1], errors: complaints)
        }
        let (status, bytes) = wait(process, ends[0], seconds)
        var said = [UInt8](repeating: 0, count: 600)
        let count = max(0, pread(complaints, &said, said.count, 0))
        let complaint = ChartText.clean(String(decoding: said[..<count], as: UTF8.self))
        guard let status else { throw failed("did not end within \(seconds) s, or its picture is larger than \(bytesMax >> 20) MiB") }
        guard status == 0, bytes.starts(with: [0x89, 0x50, 0x4E, 0x47]) else {
            let signal = status & 0x7F
            throw failed("ended with \(signal == 0 ? "status \(status >> 8 & 0xFF)" : "signal \(signal)")\(complaint.isEmpty ? "" : ": " + complaint)")
        }
        return bytes
    }

    /// A chart with colours of its own.
    package static func bytes(_ table: ResultTable, _ spec: ChartSpec, width: Double = 720, height: Double = 360, scale: Double = 2, theme: ChartTheme = .light) throws -> [UInt8] {
        try bytes(svg: try ChartSVG.text(table, spec, width: width, height: height, theme: theme == .dark ? .dark : .light), scale: scale)
    }

    private static func failed(_ what: String) -> StreamError { StreamError(.io, "\(program), which draws PNG files, \(what)") }

    /// An open file without a name, to be read from its start.
    private static func file(_ bytes: [UInt8]) throws -> Int32 {
        var path = Array(((getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp") + "/chart-XXXXXX").utf8CString)
        let descriptor = mkstemp(&path)
        guard descriptor >= 0 else { throw failed("has no temporary file: \(String(cString: strerror(errno)))") }
        unlink(path)
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        guard bytes.isEmpty || pwrite(descriptor, bytes, bytes.count, 0) == bytes.count else {
            close(descriptor)
            throw failed("has no room for a temporary file: \(String(cString: strerror(errno)))")
        }
        return descriptor
    }

    private static func spawn(_ words: [String], input: Int32, output: Int32, errors: Int32) throws -> pid_t {
        #if canImport(Darwin)
        var actions: posix_spawn_file_actions_t?, attributes: posix_spawnattr_t?
        #else
        var actions = posix_spawn_file_actions_t(), attributes = posix_spawnattr_t()
        #endif
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        for (i, end) in [input, output, errors].enumerated() { posix_spawn_file_actions_adddup2(&actions, end, Int32(i)) }
        // None of the signals that this process blocks.
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        let arguments = words.map { strdup($0) } + [nil]
        defer { for text in arguments { free(text) } }
        var process = pid_t()
        let code = posix_spawnp(&process, words[0], &actions, &attributes, arguments, environ)
        guard code == 0 else {
            guard code == ENOENT else { throw failed("cannot be started: \(String(cString: strerror(code)))") }
            throw StreamError(.io, "PNG files are drawn by \(program), which is not installed",
                              fix: "install it (apt-get install librsvg2-bin, or brew install librsvg), or write SVG instead")
        }
        return process
    }

    /// How it ended, nil when it had to be killed; and what it wrote.
    private static func wait(_ process: pid_t, _ output: Int32, _ seconds: Double) -> (Int32?, [UInt8]) {
        let deadline = Clock.monotonicNanoseconds() + UInt64(seconds * 1e9)
        var bytes: [UInt8] = [], chunk = [UInt8](repeating: 0, count: 1 << 16), status: Int32 = 0
        func drain() {
            while case let n = read(output, &chunk, chunk.count), n > 0 { bytes += chunk[..<n] }
        }
        while true {
            let done = waitpid(process, &status, WNOHANG)
            if done == process {
                drain()
                return (status, bytes)
            }
            if done < 0 || bytes.count > bytesMax || Clock.monotonicNanoseconds() >= deadline {
                kill(process, SIGKILL)
                if done == 0 { waitpid(process, &status, 0) }
                return (nil, bytes)
            }
            var entry = pollfd(fd: output, events: Int16(POLLIN), revents: 0)
            // Once it has closed its output there is nothing to wait for but its end.
            if poll(&entry, 1, 20) > 0, entry.revents & Int16(POLLIN) == 0 { usleep(2_000) }
            drain()
        }
    }
}
