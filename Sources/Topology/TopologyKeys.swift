/// The keys of a topology file. The reader refuses all others; the JSON Schema lists the same.
enum TopologyKeys {
    static let root = ["name", "description", "settings", "tables", "views", "pipeline", "delivery-streams", "replications", "notifications", "alerts"]
    static let settings = ["parallelism", "max-parallelism", "checkpoint", "state", "time-zone", "idle-timeout"]
    static let alertSettings = ["alerts.history.retention", "alerts.database", "alerts.webhook.allow-private", "alerts.webhook.allow-metadata"]
    static let settingPrefixes = ["table.", "pipeline.", "execution.", "parallelism.", "state.", "restart-strategy"]
    static let checkpoint = ["interval", "directory", "mode", "timeout"]
    static let table = ["description", "columns", "key", "watermark", "partitioned-by", "with"]
    static let column = ["name", "type", "as", "metadata", "virtual", "comment"]
    static let watermark = ["column", "delay", "as"]
    static let view = ["description", "columns", "sql"]
    static let step = ["name", "description", "into"]
    static let transforms: [String: [String]] = [
        "filter": ["from", "where"],
        "select": ["from", "columns", "where", "distinct"],
        "aggregate": ["from", "window", "by", "columns", "where", "having"],
        "union": ["from"],
        "flatten": ["from", "column", "separator", "depth", "lists", "as", "columns", "where"],
        "deduplicate": ["from", "keys", "order-by", "keep", "deleted", "columns"],
        "quality": ["from", "rules", "good", "bad", "score", "columns", "final"],
        "encode": ["from", "one-hot", "bins", "ordinal", "columns"],
        "anomaly": [
            "from", "time", "interval", "key", "aggregates", "columns", "trees", "samples", "decay", "shingle", "seed", "initialize", "normalize", "threshold",
        ],
    ]
    static let qualityConditions = ["is", "matches", "not-null", "in", "between", "exists-in"]
    static let qualityRule = ["column", "yes-means"] + qualityConditions
    static let qualityLookup = ["table", "column", "as"]
    static let qualityScore = ["into", "by"]
    static let encodings = ["one-hot": ["column", "values"], "bins": ["column", "edges", "names"], "ordinal": ["column", "values"]]
    static let mirrorStep = ["name", "description", "mirror"]
    static let mirror = [
        "from", "to", "topics", "exclude", "naming", "prefix", "start", "until", "groups", "exclude-groups", "sync.topics", "sync.configs", "sync.interval",
        "sync.offsets", "sync.offsets.interval", "replication.factor", "delivery",
    ]
    static let mirrorLists = ["topics", "exclude", "groups", "exclude-groups"]
    static let delivery = ["description", "source", "record", "transform", "partition-by", "buffer", "to", "backup"]
    static let deliverySource = ["stream", "start", "table"]
    static let deliveryRecord = ["format", "columns", "with"]
    static let deliveryTransform = ["flatten", "deleted"]
    static let deliveryBuffer = ["size", "interval"]
    static let deliveryFiles = ["files", "prefix", "error-prefix", "compression", "file-extension", "time-zone", "record-delimiter"]
    static let deliveryTo = deliveryFiles + ["opensearch", "http"]
    static let replication = [
        "description", "source", "initial", "table-from", "schema-from", "defaults", "tables", "config", "sink", "bounded", "discovery-interval", "tables-at-once",
        "schema-evolution",
    ]
    static let replicatedTable = ["key", "partitioned-by", "ordering", "domain", "columns", "exclude", "source", "sink"]
    static let notification = ["webhook", "command", "email"]
    private static let tries = ["secrets", "timeout", "retries", "backoff"]
    static let webhook = ["url", "method", "headers", "body", "ca"] + tries
    static let command = ["run"] + tries
    static let email = ["host", "port", "tls", "from", "to", "user", "password", "subject", "body", "ca"] + tries
    static let secret = ["env", "file"]
    static let alert = [
        "name", "description", "query", "metric", "match", "combine", "key", "value", "time", "condition", "for", "throttle", "resolve", "severity", "labels", "enabled", "notify",
        "route",
    ]
    static let alertRoute = ["pattern", "notify"]
    static let window = ["type", "column", "size", "slide", "step", "gap", "offset"]
    static let windowParameters: [String: [String]] = [
        "tumble": ["size", "offset"], "hop": ["slide", "size", "offset"], "cumulate": ["step", "size", "offset"], "session": ["gap"],
    ]
}
