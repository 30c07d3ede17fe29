import AWSProtocol

/// The expressions of a request, whether it writes them in the present form or in the one before.
enum RequestExpressions {
    /// Single writes tell what is wrong with a request by itself in the form of broken constraints.
    static func counted<T>(_ body: () throws -> T) throws -> T {
        do {
            return try body()
        } catch let error as AWSError where error.type == "ValidationException" && !error.message.contains(" detected: ") {
            throw AWSError.validation("1 validation error detected: " + error.message)
        }
    }

    /// - Throws: `ValidationException` when both forms are used in one request, or placeholders without expressions.
    static func checkForms(_ input: AWSValue, legacy: [String], modern: [String]) throws {
        let older = legacy.filter { input[$0] != nil }, newer = modern.filter { input[$0] != nil }
        if !older.isEmpty, !newer.isEmpty {
            throw AWSError.validation("Can not use both expression and non-expression parameters in the same request: "
                + "Non-expression parameters: {\(older.joined(separator: ", "))} Expression parameters: {\(newer.joined(separator: ", "))}")
        }
        guard newer.isEmpty else { return }
        if input["ExpressionAttributeNames"] != nil {
            throw AWSError.validation("ExpressionAttributeNames can only be specified when using expressions")
        }
        if input["ExpressionAttributeValues"] != nil {
            let missing = modern.filter { $0 != "ProjectionExpression" }
            throw AWSError.validation("ExpressionAttributeValues can only be specified when using expressions: "
                + "\(missing.joined(separator: " and ")) \(missing.count == 1 ? "is" : "are") null")
        }
    }

    static func context(_ input: AWSValue) throws -> ExpressionContext {
        try ExpressionContext(names: input["ExpressionAttributeNames"], values: input["ExpressionAttributeValues"])
    }

    /// `ConditionExpression`, or `Expected` with `ConditionalOperator`.
    static func condition(_ input: AWSValue, _ context: ExpressionContext) throws -> ConditionExpression? {
        if let text = input["ConditionExpression"]?.string { return try ConditionExpression(text, context) }
        return try input["Expected"].flatMap { try ConditionExpression.expected($0, conditionalOperator: input["ConditionalOperator"]?.string) }
    }

    static func projection(_ input: AWSValue, _ context: ExpressionContext) throws -> ProjectionExpression? {
        if let text = input["ProjectionExpression"]?.string { return try ProjectionExpression(text, context) }
        return try input["AttributesToGet"].map { try ProjectionExpression(attributesToGet: $0) }
    }

    /// PutItem, UpdateItem, DeleteItem, and the members of TransactWriteItems, by what they are given.
    static func write(_ input: AWSValue, kind: WriteKind, isSingle: Bool) throws -> ItemWrite {
        func read() throws -> ItemWrite {
            try checkForms(input, legacy: ["AttributeUpdates", "Expected", "ConditionalOperator"].filter { $0 != "AttributeUpdates" || kind == .update },
                           modern: kind == .update ? ["UpdateExpression", "ConditionExpression"] : ["ConditionExpression"])
            var write: ItemWrite
            if kind == .put {
                write = ItemWrite(action: .put(try Item(input["Item"] ?? .map([:]))))
            } else {
                write = ItemWrite(action: kind == .delete ? .delete : kind == .check ? .check : .update(nil), key: try Item(input["Key"] ?? .map([:])))
            }
            let context = try context(input)
            if kind == .update {
                if let text = input["UpdateExpression"]?.string {
                    write.action = .update(try UpdateExpression(text, context))
                } else if let updates = input["AttributeUpdates"] {
                    write.action = .update(try UpdateExpression(attributeUpdates: updates))
                }
            }
            write.condition = try condition(input, context)
            try context.checkAllUsed()
            write.returnsItemOnFailure = input["ReturnValuesOnConditionCheckFailure"]?.string == "ALL_OLD"
            return write
        }
        return isSingle ? try counted(read) : try read()
    }

    enum WriteKind { case put, update, delete, check }
}
