import ArgumentParser
import HudiTable
import StreamCore

extension TableCommand {
    /// What is done to a table from outside of jobs.
    static let maintenance: [any ParsableCommand.Type] = [Clean.self, Cluster.self, Rollback.self, SavepointOf.self, Restore.self]

    struct Clean: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Delete old versions of a table's files; the newest ones and those of savepoints stay.",
            discussion: """
                Snapshots as of commits that are not retained cannot be read any more.
                Example: swiftwater table clean swiftwater-data/tables/order_hudi_cow --retain-commits 5 --dry-run
                """)
        @Argument(help: "Directory of the table.") var path: String
        @Option(help: "Keep what snapshots as of the newest n commits need; 30 when no policy is given.") var retainCommits: Int?
        @Option(help: "Keep what snapshots of the last hours need.") var retainHours: Int?
        @Option(help: "Keep the newest versions of each file group.") var retainVersions: Int?
        @Flag(help: "Only show what would be deleted.") var dryRun = false
        @OptionGroup var output: StreamCommand.Output

        func validate() throws {
            let given = [retainCommits, retainHours, retainVersions].compactMap { $0 }
            if given.count > 1 { throw ValidationError("--retain-commits, --retain-hours and --retain-versions are policies of their own: give one of them") }
            if given.contains(where: { $0 < 1 }) { throw ValidationError("what is retained must be at least 1") }
        }

        func run() throws {
            let policy: CleanPolicy = retainHours.map { .hours($0) } ?? retainVersions.map { .fileVersions($0) } ?? .commits(retainCommits ?? 30)
            let cleaned = try OpenTable.maintenance(path).clean(policy, dryRun: dryRun)
            if output.format == .json {
                return print("{\"instant\":\(Self.text(cleaned.instant)),\"dry_run\":\(dryRun),\"earliest\":\(Self.text(cleaned.earliest)),\"bytes\":\(cleaned.bytes),"
                    + "\"files\":[\(cleaned.files.map(JSONText.quote).joined(separator: ","))]}")
            }
            if cleaned.files.isEmpty { return print("there is nothing to clean") }
            for file in cleaned.files { print(file) }
            print("\(count(cleaned.files.count, "file")), \(grouped(cleaned.bytes)) bytes \(dryRun ? "would be" : "were") deleted"
                + (cleaned.earliest.map { "; the oldest snapshot that can still be read is \($0)" } ?? ""))
        }
    }

    struct Cluster: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Merge small files of a table into larger ones; no row changes.",
            discussion: """
                The small files stay for readers of older snapshots until they are cleaned.
                Example: swiftwater table cluster swiftwater-data/tables/order_hudi_cow --target-size 256mb --sort-by customer_id
                """)
        @Argument(help: "Directory of the table.") var path: String
        @Option(help: "About how large files are made.") var targetSize = "120mb"
        @Option(help: "Files of this size and above are left alone; default the smaller of 100mb and the target size.") var smallFileLimit: String?
        @Option(help: "Sort the rows of each new file by these columns, with commas between.") var sortBy: String?
        @Flag(help: "Only show what would be merged.") var dryRun = false
        @OptionGroup var output: StreamCommand.Output

        private static func bytes(_ text: String, _ option: String) throws -> Int64 {
            guard let bytes = TableOptions.bytes(of: text), bytes > 0 else { throw ValidationError("\(option) \(text) is not a size: write it as in 120mb") }
            return Int64(bytes)
        }

        func validate() throws {
            _ = try Self.bytes(targetSize, "--target-size")
            if let smallFileLimit { _ = try Self.bytes(smallFileLimit, "--small-file-limit") }
        }

        func run() throws {
            let target = try Self.bytes(targetSize, "--target-size")
            let limit = try smallFileLimit.map { try Self.bytes($0, "--small-file-limit") } ?? min(100 << 20, target)
            let columns = sortBy.map { $0.split(separator: ",").map { String($0.drop { $0 == " " }) } } ?? []
            let done = try OpenTable.maintenance(path).cluster(targetBytes: target, smallFileBytes: limit, sortColumns: columns, dryRun: dryRun)
            if output.format == .json {
                return print("{\"instant\":\(Self.text(done.instant)),\"dry_run\":\(dryRun),\"replaced\":[\(done.replaced.map(JSONText.quote).joined(separator: ","))],"
                    + "\"replaced_bytes\":\(done.replacedBytes),\"written\":[\(done.written.map(JSONText.quote).joined(separator: ","))],"
                    + "\"written_bytes\":\(done.writtenBytes),\"groups\":\(done.groups),\"rows\":\(done.rows)}")
            }
            if done.replaced.isEmpty { return print("there are no small files to merge") }
            if dryRun {
                for file in done.replaced { print(file) }
                return print("\(count(done.replaced.count, "file")), \(grouped(done.replacedBytes)) bytes would be merged into about \(done.groups)")
            }
            print("commit \(done.instant ?? ""): \(count(done.replaced.count, "file")), \(grouped(done.replacedBytes)) bytes -> "
                + "\(count(done.written.count, "file")), \(grouped(done.writtenBytes)) bytes, \(grouped(done.rows)) rows")
        }
    }

    struct Rollback: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Undo the newest commit of a table, completed or pending.",
            discussion: "Example: swiftwater table rollback swiftwater-data/tables/order_hudi_cow 20260101000002002")
        @Argument(help: "Directory of the table.") var path: String
        @Argument(help: "The newest commit; it is checked that it is. Left out, whichever it is.") var instant: String?
        @Flag(help: "Only show what would be undone.") var dryRun = false
        @OptionGroup var output: StreamCommand.Output

        func run() throws { TableCommand.show([try OpenTable.maintenance(path).rollback(instant, dryRun: dryRun)], dryRun, output) }
    }

    struct Restore: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Bring a table back to a commit: all later ones are undone.",
            discussion: """
                A job that goes on from a checkpoint after that commit is refused: start it from one before.
                Example: swiftwater table restore swiftwater-data/tables/order_hudi_cow --to 20260101000002002
                """)
        @Argument(help: "Directory of the table.") var path: String
        @Option(name: .customLong("to"), help: "The commit, or the savepoint of one, that the table goes back to.") var target: String
        @Flag(help: "Only show what would be undone.") var dryRun = false
        @OptionGroup var output: StreamCommand.Output

        func run() throws {
            let undone = try OpenTable.maintenance(path).restore(to: target, dryRun: dryRun)
            if undone.isEmpty, output.format == .table { return print("commit \(target) is the newest one: there is nothing to undo") }
            TableCommand.show(undone, dryRun, output)
        }
    }

    struct SavepointOf: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "savepoint", abstract: "Commits of a table whose files are never cleaned: create, list, delete.",
            discussion: "Example: swiftwater table savepoint create swiftwater-data/tables/order_hudi_cow --comment \"before the migration\"",
            subcommands: [Create.self, List.self, Delete.self])

        struct Create: ParsableCommand {
            static let configuration = CommandConfiguration(
                abstract: "Keep the files of a commit, so that the table can be restored to it.",
                discussion: "Example: swiftwater table savepoint create swiftwater-data/tables/order_hudi_cow")
            @Argument(help: "Directory of the table.") var path: String
            @Argument(help: "The commit; left out, the newest.") var instant: String?
            @Option(help: "What it is for.") var comment = ""

            func run() throws { print(try OpenTable.maintenance(path).createSavepoint(instant, comment: comment).instant) }
        }

        struct List: ParsableCommand {
            static let configuration = CommandConfiguration(
                abstract: "The savepoints of a table, oldest first.", discussion: "Example: swiftwater table savepoint list swiftwater-data/tables/order_hudi_cow")
            @Argument(help: "Directory of the table.") var path: String
            @OptionGroup var output: StreamCommand.Output

            func run() throws {
                let savepoints = try OpenTable.maintenance(path).savepoints()
                if output.format == .json {
                    for s in savepoints {
                        print("{\"instant\":\"\(s.instant)\",\"comment\":\(JSONText.quote(s.comment)),\"by\":\(JSONText.quote(s.by)),\"at\":\(s.at),\"files\":\(s.files)}")
                    }
                    return
                }
                print(TextTable(columns: ["instant", "made", "files", "comment"], alignRight: [false, false, true, false],
                                rows: savepoints.map { [$0.instant, JobLog.time($0.at), "\($0.files)", $0.comment] }).boxed())
            }
        }

        struct Delete: ParsableCommand {
            static let configuration = CommandConfiguration(
                abstract: "Forget a savepoint; its files may be cleaned from then on.",
                discussion: "Example: swiftwater table savepoint delete swiftwater-data/tables/order_hudi_cow 20260101000002002")
            @Argument(help: "Directory of the table.") var path: String
            @Argument(help: "The savepoint's commit.") var instant: String

            func run() throws { try OpenTable.maintenance(path).deleteSavepoint(instant) }
        }
    }

    private static func show(_ undone: [TableMaintenance.Undone], _ dryRun: Bool, _ output: StreamCommand.Output) {
        for commit in undone {
            if output.format == .json {
                print("{\"instant\":\"\(commit.instant)\",\"operation\":\(text(commit.operation)),\"files\":\(commit.files),\"dry_run\":\(dryRun)}")
            } else {
                print("commit \(commit.instant) (\(commit.operation ?? "pending"), \(count(commit.files, "file"))) \(dryRun ? "would be" : "was") undone")
            }
        }
    }
}

/// `1 file`, `2 files`.
private func count(_ n: Int, _ what: String) -> String { "\(n) \(what)\(n == 1 ? "" : "s")" }

extension ParsableCommand {
    /// A JSON string, or null.
    fileprivate static func text(_ value: String?) -> String { value.map(JSONText.quote) ?? "null" }
}
