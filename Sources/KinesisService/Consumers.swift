import AWSProtocol
import ShardLog
import StreamCore

extension Call {
    func consumerARN(_ stream: StreamInfo, _ consumer: Consumer) -> String {
        "\(arn(stream.name))/consumer/\(consumer.name):\(consumer.created / 1_000)"
    }

    private func describe(_ consumer: Consumer, _ stream: StreamInfo) -> [String: AWSValue] {
        ["ConsumerName": .string(consumer.name), "ConsumerARN": .string(consumerARN(stream, consumer)), "ConsumerStatus": "ACTIVE",
         "ConsumerCreationTimestamp": .timestamp(Double(consumer.created / 1_000))]
    }

    func registerStreamConsumer() throws -> AWSResponse {
        let stream = try stream()
        let consumer = Consumer(name: text("ConsumerName") ?? "", created: now)
        let tags = input["Tags"]?.map ?? [:]
        try checkTags(tags, existing: [], stream.name)
        try update(stream) { _, attributes in
            let existing = attributes.consumers
            guard !existing.contains(where: { $0.name == consumer.name }) else {
                throw AWSError.inUse("Consumer \(consumer.name) under stream \(arn(stream.name)) already exists for account \(account).")
            }
            if options.enforcesLimits, existing.count >= options.consumerLimit {
                throw AWSError.limit("Stream \(stream.name) under account \(account) has \(existing.count) registered consumers already, which is the limit.")
            }
            attributes.add(consumer)
            for (key, value) in tags { attributes.setTag(.consumer(stream, consumer), key, value.string ?? "") }
        }
        return .output(["Consumer": .map(describe(consumer, stream))])
    }

    /// The consumer that a request names by its ARN, or by the stream's ARN and its name.
    func consumer() throws -> (StreamInfo, Consumer) {
        guard let text = text("ConsumerARN") else {
            guard input["StreamARN"] != nil || input["StreamId"] != nil, let name = self.text("ConsumerName") else {
                throw AWSError.invalidArgument("Either ConsumerARN, or StreamARN and ConsumerName must be specified.")
            }
            let stream = try stream()
            guard let found = StreamAttributes(stream).consumers.first(where: { $0.name == name }) else {
                throw AWSError.notFound("Consumer \(name), account \(account) not found.")
            }
            return (stream, found)
        }
        guard let arn = StreamARN(text), let named = arn.consumer, arn.account == account, log.exists(arn.stream) else {
            throw AWSError.notFound("Consumer \(text), account \(account) not found.")
        }
        let stream = try stream(named: arn.stream)
        guard let found = StreamAttributes(stream).consumers.first(where: { $0.name == named.name && $0.created / 1_000 == named.created }) else {
            throw AWSError.notFound("Consumer \(text), account \(account) not found.")
        }
        if let streamARN = self.text("StreamARN"), try streamName(ofARN: streamARN) != stream.name {
            throw AWSError.invalidArgument("StreamARN \(streamARN) and ConsumerARN \(text) do not name the same stream.")
        }
        return (stream, found)
    }

    func deregisterStreamConsumer() throws -> AWSResponse {
        let (stream, consumer) = try consumer()
        try update(stream) { $1.remove(consumer) }
        service.subscriptions.end(stream: stream.name, consumer: consumer.name)
        return .empty
    }

    func describeStreamConsumer() throws -> AWSResponse {
        let (stream, consumer) = try consumer()
        var members = describe(consumer, stream)
        members["StreamARN"] = .string(arn(stream.name))
        return .output(["ConsumerDescription": .map(members)])
    }

    func listStreamConsumers() throws -> AWSResponse {
        let stream = try stream()
        let token = try givenToken()
        if let created = input["StreamCreationTimestamp"]?.double {
            if token != nil { throw AWSError.invalidArgument("NextToken and StreamCreationTimestamp cannot be provided together.") }
            guard abs(created * 1_000 - Double(stream.created)) < 1_000 else { throw AWSError.noStream(stream.name, account) }
        }
        if let token, token.first != stream.name { throw AWSError.invalidArgument("NextToken is invalid.") }
        let all = StreamAttributes(stream).consumers.filter { consumer in token.map { consumer.name > $0[1] } ?? true }
        let page = all.prefix(number("MaxResults") ?? 100)
        var members: [String: AWSValue] = ["Consumers": .list(page.map { .map(describe($0, stream)) })]
        if page.count < all.count, let last = page.last { members["NextToken"] = try nextToken([stream.name, last.name]) }
        return .output(.map(members))
    }
}
