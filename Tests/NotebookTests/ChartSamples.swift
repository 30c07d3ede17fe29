import StreamCore
@testable import Notebook

/// Results as notebooks have them.
enum Samples {
    static func column(_ name: String, _ type: String) -> ResultTable.Column {
        ResultTable.Column(name: name, type: type, isNumeric: ["INT", "BIGINT", "DOUBLE"].contains(type) || type.hasPrefix("DECIMAL"))
    }

    static func table(_ columns: [(String, String)], _ rows: [[JSON]], total: Int64? = nil) -> ResultTable {
        ResultTable(columns: columns.map { column($0.0, $0.1) }, rows: rows, total: total)
    }

    /// The seed's sensors: average temperature by status.
    static let byStatus = table([("status", "VARCHAR(6)"), ("num", "BIGINT"), ("avg_current_temperature", "DOUBLE")], [
        [.string("OK"), .int(412), .double(74.93)], [.string("WARNING"), .int(57), .double(112.4871)], [.string("ERROR"), .int(131), .double(148.06)],
    ])

    static let readings = table([("sensor_id", "INT"), ("status", "VARCHAR(6)"), ("current_temperature", "DOUBLE")], [
        [.int(77), .string("OK"), .double(93.11)], [.int(47), .string("ERROR"), .double(168.32)], [.int(9), .string("WARNING"), .double(140.93)], [.int(27), .string("OK"), .double(130.41)],
        [.int(12), .string("OK"), .null], [.int(3), .string("ERROR"), .double(171.5)],
    ])

    static func time(_ seconds: Int) -> String { DateTimeText.timestamp(1_621_423_200_000 + Int64(seconds) * 1000, precision: 3) }

    /// Windows of ten seconds for each status: columns hop_time, status, num, avg_current_temperature.
    static func windows(_ count: Int = 40, statuses: [String] = ["OK", "WARNING", "ERROR"]) -> ResultTable {
        table([("status", "VARCHAR(6)"), ("num", "BIGINT"), ("avg_current_temperature", "DOUBLE"), ("hop_time", "TIMESTAMP(3)")], (0..<count).flatMap { i in
            statuses.enumerated().map { s, status -> [JSON] in
                let wave = Double((i * 7 + s * 13) % 23) - 11
                return [.string(status), .int(Int64(60 - 18 * s + (i * 5 + s) % 9)), .double(80 + 35 * Double(s) + wave), .string(time(i * 10))]
            }
        })
    }

    static let points = table([("age", "INT"), ("charges", "DOUBLE"), ("smoker", "STRING")], (0..<150).map { i in
        let age = 18 + (i * 37) % 47, smokes = i % 4 == 0
        return [.int(Int64(age)), .double(Double(age * age * 5 + (i * 7919) % 9000) + (smokes ? 18_000 : 0)), .string(smokes ? "yes" : "no")]
    })

    static let cities = table([("city", "STRING"), ("orders", "BIGINT")], [
        ("Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogoch", 12), ("São Paulo", 845), ("東京", 1310), ("New York", 990), ("Reykjavík", 44), ("Ciudad de México", 640), ("Lagos", 310),
        ("Addis Ababa", 205), ("Kuala Lumpur", 188), ("Rio de Janeiro", 402), ("Saint-Quentin-en-Yvelines", 71), ("Ouagadougou", 35),
    ].map { [.string($0.0), .int(Int64($0.1))] })

    static let balance = table([("month", "DATE"), ("flow", "DECIMAL(10, 2)")], [
        ("2026-01-01", 1200.5), ("2026-02-01", -830.25), ("2026-03-01", 410), ("2026-04-01", -1520.75), ("2026-05-01", 0), ("2026-06-01", 950),
    ].map { [.string($0.0), .double($0.1)] })

    /// Every kind of chart, with what is hard about it.
    static let charts: [(name: String, table: ResultTable, spec: ChartSpec)] = [
        ("bar", byStatus, ChartSpec(.bar, x: "status", y: ["avg_current_temperature"], title: "Average temperature by status")),
        ("bar-groups", windows(6), ChartSpec(.bar, x: "hop_time", y: ["num"], group: "status")),
        ("bar-columns", byStatus, ChartSpec(.bar)),
        ("bar-long", cities, ChartSpec(.bar, title: "Orders by city")),
        ("bar-negative", balance, ChartSpec(.bar, x: "month", y: ["flow"])),
        ("line", windows(), ChartSpec(.line, x: "hop_time", y: ["avg_current_temperature"], group: "status", title: "Temperature of the last minute, every ten seconds")),
        ("line-long", windows(900, statuses: ["OK"]), ChartSpec(.line, x: "hop_time", y: ["avg_current_temperature"])),
        ("area", windows(), ChartSpec(.area, x: "hop_time", y: ["num"], group: "status")),
        ("pie", cities, ChartSpec(.pie, x: "city", y: ["orders"], title: "Shares of orders")),
        ("scatter", points, ChartSpec(.scatter, x: "age", y: ["charges"], group: "smoker", title: "Charges by age")),
        ("empty", table([("a", "STRING"), ("b", "INT")], []), ChartSpec(.bar)),
    ]
}
