import StreamCore
import Testing
@testable import KafkaConnector

@Suite struct ConfigurationTests {
    @Test func namesOfTheJavaClientAreTranslated() throws {
        let configuration = try KafkaConfiguration([
            "bootstrap.servers": "localhost:9092", "max.request.size": "2000000", "key.deserializer": "x", "fetch.max.wait.ms": "50",
            "sasl.jaas.config": #"org.apache.kafka.common.security.plain.PlainLoginModule required username="alice" password="a\"b";"#,
        ])
        #expect(configuration["message.max.bytes"] == "2000000")
        #expect(configuration["fetch.wait.max.ms"] == "50")
        #expect(configuration["sasl.username"] == "alice")
        #expect(configuration["sasl.password"] == #"a"b"#)
        #expect(configuration.ignored == ["key.deserializer"])
    }

    @Test func aMistypedPropertyIsRefusedWithTheNearestName() throws {
        let error = #expect(throws: StreamError.self) { try KafkaConfiguration(["bootstrap.servers": "a:1", "sesion.timeout.ms": "5"]) }
        #expect(error?.problem == "'properties.sesion.timeout.ms' = '5' is not a property of librdkafka")
        #expect(error?.fix == "write \"session.timeout.ms\"")
        let value = #expect(throws: StreamError.self) { try KafkaConfiguration(["bootstrap.servers": "a:1", "socket.timeout.ms": "soon"]) }
        #expect(value?.problem.hasPrefix("'properties.socket.timeout.ms' = 'soon' is refused: ") == true)
    }

    @Test func aKeyStoreOfJavaIsRefusedWithWhatToDo() throws {
        let error = #expect(throws: StreamError.self) { try KafkaConfiguration(["bootstrap.servers": "a:1", "ssl.truststore.location": "/k.jks"]) }
        #expect(error?.fix == "export the certificates as a PEM file and name it in 'properties.ssl.ca.location'")
    }
}
