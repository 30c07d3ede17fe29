import AWSProtocol

extension Shape.Pattern {
    /// Any other pattern of the model; the whole of a text must match.
    static func regularExpression(_ text: String) -> Shape.Pattern {
        Shape.Pattern(text) { value in
            guard let expression = try? Regex(text) else { return true }
            return (try? expression.wholeMatch(in: value)) != nil
        }
    }
}
