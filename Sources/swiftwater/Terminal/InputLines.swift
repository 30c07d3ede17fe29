#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Lines of standard input, with a word on whether the next one is already there.
struct InputLines {
    private var pending: [UInt8] = [], at = 0, hasEnded = false

    /// The next line, without its end; nil at the end of the input.
    mutating func next() -> String? {
        var searched = at
        while true {
            if let end = pending[searched...].firstIndex(of: 10) {
                defer { at = end + 1 }
                return String(decoding: pending[at..<(end > at && pending[end - 1] == 13 ? end - 1 : end)], as: UTF8.self)
            }
            if hasEnded {
                guard at < pending.count else { return nil }
                defer { at = pending.count }
                return String(decoding: pending[at...], as: UTF8.self)
            }
            pending.removeFirst(at)
            at = 0
            searched = pending.count
            var chunk = [UInt8](repeating: 0, count: 1 << 16)
            let n = read(STDIN_FILENO, &chunk, chunk.count)
            if n < 0, errno == EINTR { continue }
            if n <= 0 { hasEnded = true } else { pending += chunk[..<n] }
        }
    }

    /// Whether ``next()`` would wait for somebody to write.
    var isEmpty: Bool {
        guard !hasEnded, pending[at...].firstIndex(of: 10) == nil else { return false }
        var input = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
        return poll(&input, 1, 0) == 0
    }
}
