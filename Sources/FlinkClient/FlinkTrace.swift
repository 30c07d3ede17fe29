import StreamCore

/// What a Java stack trace says, in a sentence or two.
///
///     <Exception on server side:
///     org.apache…SqlGatewayException: Failed to fetchResults.            wrapper, says nothing
///         at …
///     Caused by: org.apache…ValidationException: SQL validation failed. From line 1, column 15 …: Object 'nope' not found
///         at …
///     Caused by: org.apache…SqlValidatorException: Object 'nope' not found   innermost; the one before says the same and where
package struct FlinkTrace: Sendable {
    /// The innermost exception that says something, without line breaks.
    package let message: String
    /// False when the text is a plain sentence.
    package let isTrace: Bool

    package init(_ text: String) {
        let causes = Self.causes(in: text)
        isTrace = causes.contains { !$0.type.isEmpty }
        message = Self.message(causes) ?? text.split(whereSeparator: \.isNewline).first.map(String.init) ?? "no reason is given"
    }

    /// What to do about what is known well.
    package var fix: String? {
        if message.contains("Could not find any factory for identifier") {
            return "put the jar of this connector or format into the lib directory of Flink, the gateway's too, and start both again"
        }
        if message.contains("Could not acquire the minimum required resources") || message.contains("NoResourceAvailable") {
            return "start more TaskManagers, give them more slots, or lower the parallelism"
        }
        if message.contains("Property [targetDirectory] must be provided") { return "name a directory with --target, or set execution.checkpointing.savepoint-dir in Flink" }
        return nil
    }

    /// One exception of a chain. The type is empty for a line that belongs to none.
    private struct Cause {
        var type: Substring
        var lines: [Substring]

        /// Without the outer packages and what a nested class stands in.
        var name: Substring { type.split(separator: ".").last?.split(separator: "$").last ?? type }
        var text: String { lines.map { $0.trimmingSpaces() }.filter { !$0.isEmpty }.joined(separator: " ") }

        /// Only hands on what another one says.
        var isWrapper: Bool {
            let wrappers: Set<Substring> = ["CompletionException", "ExecutionException", "RestClientException", "SerializedThrowable", "SqlGatewayException", "RestHandlerException", "UndeclaredThrowableException"]
            let phrases = ["Failed to ", "Recovery is suppressed by", "Job failed", "Global failure", "Internal server error", "[Internal server error"]
            let text = text
            return text.isEmpty ? type.isEmpty : wrappers.contains(name) && (text.hasPrefix("Failed to ") || text.hasPrefix("org.") || text.hasPrefix("java.") || text.hasPrefix("["))
                || phrases.contains { text.hasPrefix($0) }
        }

        /// Names of classes that users meet in SQL say nothing beside the message; that of another exception often is the message.
        var sentence: String {
            let known = ["ValidationException", "SqlParserException", "SqlParseException", "SqlValidatorException", "CalciteContextException", "CalciteException", "TableException",
                         "SqlExecutionException", "SqlGatewayException", "RestHandlerException", "HandlerRequestException", "FlinkException", "FlinkRuntimeException", "JobException", "IllegalArgumentException",
                         "IllegalStateException", "UnsupportedOperationException", "RuntimeException", "CatalogException", "IOException"]
            if text.isEmpty { return String(name) }
            return type.isEmpty || known.contains(String(name)) ? text : "\(name): \(text)"
        }
    }

    private static func causes(in text: String) -> [Cause] {
        var causes: [Cause] = [], isInside = false
        for line in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline) {
            // Frames, "... 12 more" and suppressed exceptions are indented; so are lines of a message, which have no such word.
            let trimmed = line.trimmingSpaces()
            if line.first?.isWhitespace == true, trimmed.hasPrefix("at ") || trimmed.hasPrefix("... ") || trimmed.hasPrefix("Suppressed: ") || trimmed.hasPrefix("Caused by: ") {
                isInside = true
                continue
            }
            if trimmed.hasPrefix("<Exception on server side:") || trimmed.hasPrefix("End of exception on server side>") {
                isInside = true
                continue
            }
            let head = trimmed.hasPrefix("Caused by: ") ? trimmed.dropFirst(11) : trimmed
            if let type = exceptionType(head) {
                causes.append(Cause(type: type, lines: [head.dropFirst(type.count).drop { $0 == ":" }]))
                isInside = false
            } else if isInside || causes.isEmpty {
                if !trimmed.isEmpty { causes.append(Cause(type: "", lines: [trimmed])) }
                isInside = false
            } else {
                causes[causes.count - 1].lines.append(line)
            }
        }
        return causes
    }

    /// `org.apache.flink.X` of `org.apache.flink.X: message`; nil when the line begins otherwise.
    private static func exceptionType(_ line: Substring) -> Substring? {
        let type = line.prefix { $0.isLetter || $0.isNumber || $0 == "." || $0 == "$" || $0 == "_" }
        guard type.contains("."), ["Exception", "Error", "Throwable", "Failure"].contains(where: { type.hasSuffix($0) }) else { return nil }
        let rest = line.dropFirst(type.count)
        return rest.isEmpty || rest.hasPrefix(":") ? type : nil
    }

    private static func message(_ causes: [Cause]) -> String? {
        guard var at = causes.lastIndex(where: { !$0.isWrapper }) else { return causes.last { !$0.text.isEmpty }?.text }
        // An outer exception that quotes the inner one says where, too.
        while at > 0, !causes[at].text.isEmpty, !causes[at - 1].isWrapper, causes[at - 1].text.contains(causes[at].text) { at -= 1 }
        let sentence = causes[at].sentence
        guard causes[at].text.isEmpty, let outer = causes[..<at].last(where: { !$0.isWrapper && !$0.text.isEmpty }) else { return sentence }
        return "\(outer.sentence) (\(sentence))"
    }
}

private extension Substring {
    func trimmingSpaces() -> Substring {
        var part = drop { $0.isWhitespace }
        while part.last?.isWhitespace == true { part.removeLast() }
        return part
    }
}
