#if canImport(Glibc)
@preconcurrency import Glibc
#elseif canImport(Darwin)
@preconcurrency import Darwin
#endif

enum Terminal {
    static var outputIsTerminal: Bool { isatty(STDOUT_FILENO) == 1 }
    static var errorIsTerminal: Bool { isatty(STDERR_FILENO) == 1 }
    static var inputIsTerminal: Bool { isatty(STDIN_FILENO) == 1 }

    static var width: Int {
        var size = winsize()
        guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0 || ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else {
            return 100
        }
        return Int(size.ws_col)
    }

    static var height: Int {
        var size = winsize()
        guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_row > 0 else { return 24 }
        return Int(size.ws_row)
    }

    /// Writes all of it, or ends the process quietly when the reader has gone, as `head` does.
    static func write(_ text: String, to descriptor: Int32 = STDOUT_FILENO) {
        var copy = text
        copy.withUTF8 { bytes in
            var done = 0
            while done < bytes.count {
                let n = systemWrite(descriptor, bytes.baseAddress! + done, bytes.count - done)
                if n < 0 {
                    if errno == EINTR || errno == EAGAIN { continue }
                    if errno != EPIPE, descriptor != STDERR_FILENO { error("error: cannot write the output: \(String(cString: strerror(errno)))") }
                    _exit(errno == EPIPE ? 0 : 1)
                }
                done += n
            }
        }
    }

    /// The text with lines that fit the terminal, so that none wraps, and how many they are.
    static func cut(_ text: String) -> (text: String, lines: Int) {
        let width = width
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            String(line).displayWidth <= width ? line : line.prefix(max(width - 1, 0)) + "…"
        }
        return (lines.joined(separator: "\n"), lines.count)
    }

    /// Back over lines that were drawn, clearing them.
    static func up(_ lines: Int) -> String { lines > 0 ? "\r\u{1B}[\(lines)A\u{1B}[J" : "" }

    static func error(_ text: String) { write(text + "\n", to: STDERR_FILENO) }
}

private func systemWrite(_ descriptor: Int32, _ bytes: UnsafePointer<UInt8>, _ count: Int) -> Int {
    #if canImport(Glibc)
    Glibc.write(descriptor, bytes, count)
    #else
    Darwin.write(descriptor, bytes, count)
    #endif
}
