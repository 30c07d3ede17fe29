import StreamCore
import StreamSQL

/// Change records of a form that Flink has no format for: read as the JSON that they are, with a view that makes rows of them.
struct RawChanges {
    let prefix: String
    init?(_ to: OptionTranslation, prefix: String) { return nil }
    func apply(_ to: inout OptionTranslation) {}
}
