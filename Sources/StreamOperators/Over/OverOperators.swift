import StreamCore

extension Operators {
    /// Functions OVER windows. Its input must be partitioned by `spec.partition`.
    public static func over(_ spec: OverSpec) -> Factory {
        switch spec.order {
        case .eventTime, .arrival: keyed { try TimedOverOperator(spec) }
        case .keys(let order): keyed { try SortedOverOperator(spec, order) }
        }
    }
}
