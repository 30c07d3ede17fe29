import StreamCore

/// Finds what lets a script run programs: somebody who may only run SQL must not get them by it.
package enum SQLPrograms {
    private static let settings = ["python.executable", "python.files"]
    private static let languages: Set<String> = ["PYTHON"]
    private static let resources: Set<String> = ["JAR", "FILE", "ARTIFACT"]

    /// The first part of a script that chooses or brings a program, as it is written in capitals or as a key; nil when there is none.
    ///
    /// Goes by tokens, as the parser does: comments between words, capitals and escapes in texts hide nothing. A text that cannot be cut into
    /// tokens runs nowhere; it is judged by its words.
    package static func mention(in script: String) -> String? {
        var lexer = Lexer(SourceText(script))
        guard let tokens = try? lexer.tokens() else { return wordMention(in: script) }
        for (token, next) in zip(tokens, tokens.dropFirst()) {
            switch token.kind {
            case .string, .quoted:
                let text = token.text.lowercased()
                if let found = settings.first(where: text.contains) { return found }
            case .word where token.upper == "LANGUAGE" && languages.contains(next.text.uppercased()): return "LANGUAGE \(next.text.uppercased())"
            case .word where token.upper == "USING" && next.kind == .word && resources.contains(next.upper): return "USING \(next.upper)"
            default: break
            }
        }
        return nil
    }

    private static func wordMention(in script: String) -> String? {
        let words = Set(script.uppercased().split { !($0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_")) })
        if words.contains("PYTHON") { return "PYTHON" }
        // Escapes may spell any word.
        if words.contains("U") { return "U&" }
        if words.contains("USING"), let found = resources.sorted().first(where: { words.contains(Substring($0)) }) { return "USING \(found)" }
        return nil
    }
}
