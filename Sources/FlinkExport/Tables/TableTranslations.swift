/// What tables of each connector are in Flink.
public enum TableTranslations {
    public static let all: [any TableTranslation] = [
        FilesystemTranslation(), KafkaTranslation(isUpsert: false), KafkaTranslation(isUpsert: true), KinesisTranslation(), HudiTranslation(), IcebergTranslation(), DeltaTranslation(),
        PrintTranslation(), BlackholeTranslation(), DatagenTranslation(), OpenSearchTranslation(),
    ] + RefusedConnector.all.map { $0 as any TableTranslation }

    private static let byName = Dictionary(uniqueKeysWithValues: all.map { ($0.connector, $0) })

    /// The translation for tables of a connector; nil when there is no such connector here.
    public static func of(_ connector: String) -> (any TableTranslation)? { byName[connector.lowercased()] }

    /// - Returns: nil when the table is refused; the reasons are among the findings.
    public static func translate(_ table: SourceTable, _ target: FlinkTarget, _ findings: inout Findings) -> TranslatedTable? {
        guard let translation = of(table.connector) else {
            findings.refuse("table \(table.name)", reason: table.connector.isEmpty ? "it names no connector" : "it is not known what connector '\(table.connector)' is in Flink",
                            instead: "make the table by hand on the cluster, and leave it out of the file", at: table.optionLocations["connector"] ?? table.location)
            return nil
        }
        return translation.translate(table, target, &findings)
    }
}
