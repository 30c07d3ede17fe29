import AWSProtocol
import Foundation

/// The inputs of Firehose's operations, with the constraints that its model gives them. One differs: endpoints may be `http:` too, as those
/// of a developer's own machine are.
enum FirehoseShapes {
    /// A constraint that is a regular expression; it has to match the whole of a text.
    static func matching(_ pattern: String) -> Shape.Pattern {
        guard let expression = try? NSRegularExpression(pattern: "\\A(?:\(pattern))\\z") else { preconditionFailure("\(pattern) is no regular expression") }
        return Shape.Pattern(pattern) { text in
            expression.firstMatch(in: text, range: NSRange(location: 0, length: text.utf16.count)) != nil
        }
    }
}
