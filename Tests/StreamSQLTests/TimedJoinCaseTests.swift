import StreamCore
import Testing
@testable import StreamSQL

/// Flink's cases of joins by time and of un-nesting: none of them may be refused.
@Suite("Joins by time and un-nesting: Flink's rows") struct TimedJoinCaseTests {
    @Test(arguments: [
        "unnest", "unnest_map_left", "unnest_ordinality", "unnest_rows_ordinality", "unnest_then_agg", "join_interval", "join_interval_bounds", "join_interval_left", "join_temporal",
        "win_join_tvf", "comp_window_join_left_null_keys",
    ])
    func flink(name: String) throws { try FlinkCaseTests().flink(name: name) }
}
