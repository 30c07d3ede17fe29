import LakeTable

/// What a clustering is going to merge: the content of its requested file, by which other engines recognise it.
struct ClusteringPlan {
    /// The file groups that become one, per output.
    var groups: [[FileSlice]]
    var sortColumns: [String]

    private static let slice = #"{"type":"record","name":"HoodieSliceInfo","namespace":"org.apache.hudi.avro.model","fields":[{"name":"dataFilePath","type":["null","string"],"default":null},{"name":"deltaFilePaths","type":["null",{"type":"array","items":"string"}],"default":null},{"name":"fileId","type":["null","string"]},{"name":"partitionPath","type":["null","string"],"default":null},{"name":"bootstrapFilePath","type":["null","string"],"default":null},{"name":"version","type":["int","null"],"default":1}]}"#
    private static let group = #"{"type":"record","name":"HoodieClusteringGroup","namespace":"org.apache.hudi.avro.model","fields":[{"name":"slices","type":["null",{"type":"array","items":\#(slice)}],"default":null},{"name":"metrics","type":["null",{"type":"map","values":"double"}],"default":null},{"name":"numOutputFileGroups","type":["int","null"],"default":1},{"name":"version","type":["int","null"],"default":1}]}"#
    private static let strategy = #"{"type":"record","name":"HoodieClusteringStrategy","namespace":"org.apache.hudi.avro.model","fields":[{"name":"strategyClassName","type":["null","string"],"default":null},{"name":"strategyParams","type":["null",{"type":"map","values":"string"}],"default":null},{"name":"version","type":["int","null"],"default":1}]}"#
    private static let plan = #"{"type":"record","name":"HoodieClusteringPlan","namespace":"org.apache.hudi.avro.model","fields":[{"name":"inputGroups","type":["null",{"type":"array","items":\#(group)}],"default":null},{"name":"strategy","type":[\#(strategy),"null"],"default":null},{"name":"extraMetadata","type":["null",{"type":"map","values":"string"}],"default":null},{"name":"version","type":["int","null"],"default":1},{"name":"preserveHoodieMetadata","type":["null","boolean"],"default":null}]}"#
    private static let schema = #"{"type":"record","name":"HoodieRequestedReplaceMetadata","namespace":"org.apache.hudi.avro.model","fields":[{"name":"operationType","type":["null","string"],"default":null},{"name":"clusteringPlan","type":[\#(plan),"null"],"default":null},{"name":"extraMetadata","type":["null",{"type":"map","values":"string"}],"default":null},{"name":"version","type":["int","null"],"default":1}]}"#

    func encoded(_ files: TableFiles) -> [UInt8] {
        var out = AvroWriter()
        func version(_ out: inout AvroWriter) {
            out.long(0)
            out.long(1)
        }
        func text(_ out: inout AvroWriter, _ text: String) {
            out.long(1)
            out.string(text)
        }
        func noEntries(_ out: inout AvroWriter) {
            out.long(1)
            out.items([String]()) { $0.string($1) }
        }
        text(&out, FileClustering.operation)
        out.long(0)
        out.long(1)
        out.items(groups) { out, slices in
            out.long(1)
            out.items(slices) { out, slice in
                text(&out, files.absolute(slice.path))
                noEntries(&out)
                text(&out, slice.fileId)
                text(&out, slice.partition)
                text(&out, "")
                version(&out)
            }
            noEntries(&out)
            out.long(0)
            out.long(1)
            version(&out)
        }
        out.long(0)
        text(&out, "org.apache.hudi.client.clustering.run.strategy.SparkSortAndSizeExecutionStrategy")
        out.long(1)
        out.items(sortColumns.isEmpty ? [] : [("hoodie.clustering.plan.strategy.sort.columns", sortColumns.joined(separator: ","))]) {
            $0.string($1.0)
            $0.string($1.1)
        }
        version(&out)
        noEntries(&out)
        version(&out)
        out.long(1)
        out.bytes.append(1)  // commit times of rows are kept
        noEntries(&out)
        version(&out)
        return AvroContainer.file(schema: Self.schema, record: out.bytes)
    }
}
