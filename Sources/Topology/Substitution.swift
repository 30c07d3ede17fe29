import StreamCore
import StreamSQL

/// Replaces `${NAME}` and `${NAME:-default}` by variables, before anything else is read.
///
/// `$${` stands for a plain `${`. Lines that hold nothing but a comment stay as they are.
enum Substitution {
    /// The text with its variables filled in; places in it still lead to the original line and column.
    static func apply(to text: String, file: String?, variables: [String: String], commentMark: String) throws -> SourceText {
        let original = SourceText(text, file: file)
        let bytes = Array(text.utf8)
        var output: [UInt8] = [], anchors: [SourceText.Anchor] = []
        /// Input and output run side by side until the next replacement.
        func anchor(_ offset: Int) {
            let (line, column) = original.position(offset)
            anchors.append(.init(offset: output.count, line: line, column: column))
        }
        anchor(0)
        var at = 0
        while at < bytes.count {
            if at == 0 || bytes[at - 1] == UInt8(ascii: "\n") {
                let end = bytes[at...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count
                if String(decoding: bytes[at..<end], as: UTF8.self).drop(while: \.isWhitespace).hasPrefix(commentMark) {
                    output += bytes[at..<end]
                    at = end
                    continue
                }
            }
            if bytes[at...].starts(with: "$${".utf8) {
                output += Array("${".utf8)
                at += 3
                anchor(at)
            } else if bytes[at...].starts(with: "${".utf8) {
                let (value, end) = try replacement(bytes, at, original, variables)
                anchor(at)
                output += Array(value.utf8)
                at = end
                anchor(at)
            } else {
                output.append(bytes[at])
                at += 1
            }
        }
        return SourceText(
            fragment: String(decoding: output, as: UTF8.self), file: file, anchors: anchors, documentLines: original.documentLines)
    }

    private static func replacement(_ bytes: [UInt8], _ start: Int, _ original: SourceText, _ variables: [String: String]) throws -> (
        String, Int
    ) {
        func isName(_ b: UInt8) -> Bool { (b | 0x20 >= 0x61 && b | 0x20 <= 0x7A) || b == 0x5F || (b >= 0x30 && b <= 0x39) }
        var at = start + 2
        while at < bytes.count, isName(bytes[at]) { at += 1 }
        let name = String(decoding: bytes[(start + 2)..<at], as: UTF8.self)
        let place = original.span(start, at)
        var fallback: String?
        if bytes[at...].starts(with: ":-".utf8) {
            let end = bytes[at...].firstIndex { $0 == UInt8(ascii: "}") || $0 == UInt8(ascii: "\n") } ?? bytes.count
            fallback = String(decoding: bytes[(at + 2)..<end], as: UTF8.self)
            at = end
        }
        guard !name.isEmpty, !name.first!.isNumber, at < bytes.count, bytes[at] == UInt8(ascii: "}") else {
            throw original.error(
                .parse, "\"${\" does not begin a variable", fix: "write ${NAME} or ${NAME:-default}, or $${ for a plain ${", at: place)
        }
        let value = variables[name].flatMap { $0.isEmpty ? nil : $0 } ?? fallback ?? variables[name]
        guard let value else {
            throw original.error(
                .validate, "the variable \(name) is not set", fix: "set it, or give a default: ${\(name):-value}", at: place)
        }
        guard !value.utf8.contains(where: { $0 < 0x20 && $0 != 0x09 }) else {
            throw original.error(
                .validate, "the value of the variable \(name) holds a line break or control character", fix: "set it to one line of text",
                at: place)
        }
        return (value, at + 1)
    }
}
