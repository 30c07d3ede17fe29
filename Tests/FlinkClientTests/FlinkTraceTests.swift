import FlinkClient
import Testing

@Suite("Reasons in stack traces") struct FlinkTraceTests {
    @Test("the innermost exception is told, with the place that an outer one adds") func validation() {
        let trace = FlinkTrace("""
            Internal server error.
            <Exception on server side:
            org.apache.flink.table.gateway.api.utils.SqlGatewayException: org.apache.flink.table.gateway.api.utils.SqlGatewayException: Failed to fetchResults.
            \tat org.apache.flink.table.gateway.rest.handler.statement.FetchResultsHandler.handleRequest(FetchResultsHandler.java:91)
            Caused by: org.apache.flink.table.gateway.service.utils.SqlExecutionException: Failed to execute the operation 6b2b2b1e-4df5-4d5d-9b43-6e2f6e1b8f11.
            \tat org.apache.flink.table.gateway.service.operation.OperationManager$Operation.processThrowable(OperationManager.java:440)
            Caused by: org.apache.flink.table.api.ValidationException: SQL validation failed. From line 1, column 15 to line 1, column 18: Object 'nope' not found
            \tat org.apache.flink.table.planner.calcite.FlinkPlannerImpl.validate(FlinkPlannerImpl.scala:200)
            \t... 7 more
            Caused by: org.apache.calcite.runtime.CalciteContextException: From line 1, column 15 to line 1, column 18: Object 'nope' not found
            \tat java.base/jdk.internal.reflect.DirectConstructorHandleAccessor.newInstance(DirectConstructorHandleAccessor.java:62)
            Caused by: org.apache.calcite.sql.validate.SqlValidatorException: Object 'nope' not found
            \t... 20 more

            End of exception on server side>
            """)
        #expect(trace.isTrace && trace.message == "SQL validation failed. From line 1, column 15 to line 1, column 18: Object 'nope' not found")
    }

    @Test("messages of several lines become one, and a missing connector says what to do") func connector() {
        let trace = FlinkTrace("""
            org.apache.flink.table.api.ValidationException: Unable to create a sink for writing table 'c'.

            Table options are:

            'connector'='nothing'
            \tat org.apache.flink.table.factories.FactoryUtil.createDynamicTableSink(FactoryUtil.java:333)
            Caused by: org.apache.flink.table.api.ValidationException: Could not find any factory for identifier 'nothing' that implements 'DynamicTableFactory' in the classpath.

            Available factory identifiers are:

            blackhole
            datagen
            \tat org.apache.flink.table.factories.FactoryUtil.discoverFactory(FactoryUtil.java:620)
            """)
        #expect(trace.message == "Could not find any factory for identifier 'nothing' that implements 'DynamicTableFactory' in the classpath. Available factory identifiers are: blackhole datagen")
        #expect(trace.fix?.contains("jar") == true)
    }

    @Test("an exception that Flink has no words for keeps its class", arguments: [
        ("org.apache.flink.runtime.JobException: Recovery is suppressed by NoRestartBackoffTimeStrategy\n\tat a.B.c(B.java:1)\nCaused by: java.lang.ArithmeticException: / by zero\n\tat x.y.Z(Z.java:2)\n",
         "ArithmeticException: / by zero"),
        ("org.apache.flink.table.api.TableException: Cannot write the row.\n\tat a.B.c(B.java:1)\nCaused by: java.lang.NullPointerException\n\tat x.y.Z(Z.java:2)\n", "Cannot write the row. (NullPointerException)"),
        ("java.lang.NullPointerException\n\tat x.y.Z(Z.java:2)\n", "NullPointerException"),
        ("java.io.IOException: no space\n\tat a.B(B.java:1)\n\tSuppressed: java.lang.IllegalStateException: closed\n\t\tat a.C(C.java:1)\n\tCaused by: java.lang.Exception: inner of suppressed\n", "no space"),
    ])
    func classes(text: String, message: String) { #expect(FlinkTrace(text).message == message) }

    @Test("a trace within a message is followed into the other server") func nested() {
        let trace = FlinkTrace("""
            org.apache.flink.util.FlinkException: Failed to execute job 'x'.
            \tat a.B.c(B.java:1)
            Caused by: java.util.concurrent.CompletionException: org.apache.flink.runtime.rest.util.RestClientException: [Internal server error., <Exception on server side:
            org.apache.flink.runtime.client.JobSubmissionException: Failed to submit job.
            \tat a.B.c(B.java:1)
            Caused by: java.lang.IllegalStateException: The cluster is shutting down
            \tat a.B.c(B.java:1)

            End of exception on server side>]
            \tat a.B.c(B.java:1)
            Caused by: org.apache.flink.runtime.rest.util.RestClientException: [Internal server error., <Exception on server side:
            org.apache.flink.runtime.client.JobSubmissionException: Failed to submit job.
            \tat a.B.c(B.java:1)
            Caused by: java.lang.IllegalStateException: The cluster is shutting down
            \tat a.B.c(B.java:1)

            End of exception on server side>]
            \t... 4 more
            """)
        #expect(trace.message == "The cluster is shutting down")
    }

    @Test("a plain sentence stays", arguments: ["Not found: /v4/x", "Unable to load requested file /v1/api_versions.", "status 502"])
    func plain(text: String) {
        let trace = FlinkTrace(text)
        #expect(trace.message == text && !trace.isTrace)
    }
}
