import StreamSQL
public enum FlinkFunctions {
    public enum Availability { case since(FlinkVersion), absent(instead: String), rewritten }
    static func availability(of name: String) -> Availability { .since(FlinkVersion(1, 20)) }
    static func rewriting(of call: FunctionCall, _ writer: SQLWriter) -> String? { nil }
}
