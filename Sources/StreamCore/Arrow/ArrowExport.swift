import CArrowData

extension Batch {
    /// The batch as a struct array with its schema, for a consumer that speaks the Arrow C Data Interface.
    ///
    /// Rows that are not selected are left out first; row kinds are not exported. Columns whose layout is the same are
    /// handed over without a copy and stay alive until the consumer releases the array. Dictionary columns stay
    /// dictionaries in the native layout.
    public func exportArrow(_ fields: Schema, layout: ArrowLayout = .native) throws -> (schema: ArrowSchema, array: ArrowArray) {
        precondition(fields.count == columns.count, "\(fields.count) fields for \(columns.count) columns")
        let batch = compacted()
        var schemas: [ArrowSchema] = [], arrays: [ArrowArray] = []
        for (field, column) in zip(fields, batch.columns) {
            let (schema, array) = try column.exportArrow(name: field.name, nullable: field.nullable, layout: layout)
            schemas.append(schema)
            arrays.append(array)
        }
        return (makeArrowSchema(format: "+s", name: "", nullable: false, children: schemas),
                makeArrowArray(length: batch.physicalCount, nullCount: 0, buffers: [nil], owners: [], children: arrays))
    }
}

extension Column {
    /// This column as an Arrow array with its schema; both are released by the consumer.
    public func exportArrow(name: String, nullable: Bool = true, layout: ArrowLayout = .native) throws
        -> (schema: ArrowSchema, array: ArrowArray) {
        if let dictionary, layout.stringViews {
            let (inner, values) = try dictionary.exportArrow(name: "", layout: layout)
            return (makeArrowSchema(format: "i", name: name, nullable: nullable, dictionary: inner),
                    makeArrowArray(length: count, nullCount: nullCount, buffers: [validityPointer, UnsafeRawPointer(self.values.base)],
                                   owners: [self], dictionary: values))
        }
        return (layout.schema(name: name, type, nullable: nullable), try flat().plainArray(layout))
    }

    private var validityPointer: UnsafeRawPointer? { validity.map { UnsafeRawPointer($0.base) } }

    private func sharesValues(_ layout: ArrowLayout) -> Bool {
        switch type.physical {
        case .int8, .int16: !layout.widenSmallIntegers
        case .int32, .float, .double, .int128: true
        case .int64: !(layout.timestampsAsMicros && type.timeUnit != nil && type.timeUnit != .microseconds)
        default: false
        }
    }

    private func plainArray(_ layout: ArrowLayout) throws -> ArrowArray {
        let valid = validityPointer
        switch type.physical {
        case _ where sharesValues(layout):
            return makeArrowArray(length: count, nullCount: nullCount, buffers: [valid, UnsafeRawPointer(values.base)], owners: [self])
        case .view where layout.stringViews:
            // The last buffer of a view array holds the sizes of the ones that the views point into.
            let sizes = heaps.map { Int64($0.capacity) }.withUnsafeBytes { Buffer(copying: $0) }
            let buffers = [valid, UnsafeRawPointer(values.base)] + heaps.map { UnsafeRawPointer($0.base) } + [UnsafeRawPointer(sizes.base)]
            return makeArrowArray(length: count, nullCount: nullCount, buffers: buffers, owners: [self, sizes])
        case .row:
            return makeArrowArray(length: count, nullCount: nullCount, buffers: [valid], owners: [self],
                                  children: try children.map { try $0.flat().plainArray(layout) })
        case .list:
            return makeArrowArray(length: count, nullCount: nullCount, buffers: [valid, UnsafeRawPointer(values.base)], owners: [self],
                                  children: [try children[0].flat().plainArray(layout)])
        case .map:
            let parts = try children.map { try $0.flat().plainArray(layout) }
            let entries = makeArrowArray(length: children[0].count, nullCount: 0, buffers: [nil], owners: [], children: parts)
            return makeArrowArray(length: count, nullCount: nullCount, buffers: [valid, UnsafeRawPointer(values.base)], owners: [self],
                                  children: [entries])
        default:
            var copied = layout
            copied.stringViews = false
            let builder = ArrowArrayBuilder(type: type, layout: copied)
            try builder.append(self, count: count)
            return builder.finish()
        }
    }
}
