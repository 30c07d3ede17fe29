import StreamCore

/// How a result is drawn: `-- @chart bar x=status y=avg_current_temperature`.
package struct ChartSpec: Sendable, Hashable {
    package enum Kind: String, Sendable, Hashable, CaseIterable { case table, bar, line, area, pie, scatter }
    /// What stands for several rows with the same `x`; `count` counts rows, or the values of the `y` columns that are not NULL.
    package enum Aggregate: String, Sendable, Hashable, CaseIterable { case avg, sum, min, max, count, last }

    package var kind: Kind
    /// Column of the horizontal axis, or of the slices' names; nil = the first that is no number, else the first.
    /// For lines, areas and scatter charts nil = the first with a time, for scatter charts then the first number.
    package var x: String?
    /// Columns of the values; empty = all numeric ones but `x` and `group`, and of those the first for pie and scatter charts.
    package var y: [String]
    /// Column whose values are series of their own.
    package var group: String?
    package var title: String?
    /// nil = the sum for bars and slices, the last for lines and areas, and none for scatter charts, which draw each row.
    package var aggregate: Aggregate?

    package init(_ kind: Kind, x: String? = nil, y: [String] = [], group: String? = nil, title: String? = nil, aggregate: Aggregate? = nil) {
        (self.kind, self.x, self.y, self.group, self.title, self.aggregate) = (kind, x, y, group, title, aggregate)
    }
}
