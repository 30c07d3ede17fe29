extension Topology {
    /// The JSON Schema (draft 2020-12) of YAML topology files, for editors and other tools.
    public static let jsonSchema = #"""
        {
          "$schema": "https://json-schema.org/draft/2020-12/schema",
          "$id": "https://swiftwater.dev/schemas/topology.json",
          "title": "Swiftwater topology",
          "description": "Tables, views and the steps between them. ${NAME} and ${NAME:-default} are replaced by variables before the file is read; $${ stands for ${.",
          "type": "object",
          "anyOf": [{"required": ["pipeline"]}, {"required": ["delivery-streams"]}, {"required": ["replications"]}, {"required": ["alerts"]}],
          "additionalProperties": false,
          "properties": {
            "name": {"type": "string", "description": "Name of the job."},
            "description": {"type": "string"},
            "settings": {"$ref": "#/$defs/settings"},
            "tables": {"type": "object", "description": "By name.", "additionalProperties": {"$ref": "#/$defs/table"}},
            "views": {
              "type": "object",
              "description": "By name: a query, or a query with names for its columns.",
              "additionalProperties": {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/view"}]}
            },
            "pipeline": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/step"}},
            "delivery-streams": {
              "type": "object",
              "description": "By name: records that are delivered in batches, as by Amazon Data Firehose.",
              "additionalProperties": {"$ref": "#/$defs/delivery"}
            },
            "replications": {
              "type": "object",
              "description": "By name: many tables of one source, each replicated by a job of its own into a table of its own.",
              "additionalProperties": {"$ref": "#/$defs/replication"}
            },
            "notifications": {
              "type": "object",
              "description": "By name: where alerts go.",
              "additionalProperties": {"$ref": "#/$defs/notification"}
            },
            "alerts": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/alert"}}
          },
          "$defs": {
            "variable": {"type": "string", "pattern": "\\$\\{"},
            "count": {"anyOf": [{"type": "integer", "minimum": 1}, {"$ref": "#/$defs/variable"}]},
            "flag": {"anyOf": [{"type": "boolean"}, {"$ref": "#/$defs/variable"}]},
            "scalar": {"type": ["string", "number", "boolean"]},
            "names": {"anyOf": [{"type": "string"}, {"type": "array", "minItems": 1, "items": {"type": "string"}}]},
            "duration": {
              "type": "string",
              "description": "A length of time: 10 s, 500 ms, 1 min, 2 h, 1 d.",
              "pattern": "^[0-9]{1,12} *(ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hours?|d|days?)$|\\$\\{"
            },
            "settings": {
              "type": "object",
              "additionalProperties": false,
              "properties": {
                "parallelism": {"$ref": "#/$defs/count"},
                "max-parallelism": {"$ref": "#/$defs/count"},
                "checkpoint": {
                  "type": "object",
                  "additionalProperties": false,
                  "properties": {
                    "interval": {"$ref": "#/$defs/scalar"},
                    "directory": {"type": "string"},
                    "mode": {"type": "string"},
                    "timeout": {"$ref": "#/$defs/scalar"}
                  }
                },
                "state": {"anyOf": [{"enum": ["memory", "rocksdb"]}, {"$ref": "#/$defs/variable"}]},
                "time-zone": {"type": "string", "description": "For example UTC or Europe/Oslo."},
                "idle-timeout": {"$ref": "#/$defs/scalar", "description": "A source that is silent for this long holds no watermark back."},
                "alerts.history.retention": {"$ref": "#/$defs/duration", "description": "90 d when absent."},
                "alerts.database": {"type": "string", "description": "The file of the history."},
                "alerts.webhook.allow-private": {"$ref": "#/$defs/flag", "description": "Loopback and private addresses may be called; true when absent."},
                "alerts.webhook.allow-metadata": {"$ref": "#/$defs/flag", "description": "Link-local addresses may be called; false when absent."}
              },
              "patternProperties": {
                "^((table|pipeline|execution|parallelism|state|restart-strategy)\\.|restart-strategy$)": {"$ref": "#/$defs/scalar"}
              }
            },
            "table": {
              "type": "object",
              "required": ["columns", "with"],
              "additionalProperties": false,
              "properties": {
                "description": {"type": "string"},
                "columns": {
                  "anyOf": [
                    {
                      "type": "object",
                      "minProperties": 1,
                      "additionalProperties": {"anyOf": [{"type": "string", "description": "A SQL type, NOT NULL allowed."}, {"$ref": "#/$defs/column"}]}
                    },
                    {"type": "array", "minItems": 1, "items": {"allOf": [{"$ref": "#/$defs/column"}, {"required": ["name"]}]}}
                  ]
                },
                "key": {"$ref": "#/$defs/names", "description": "PRIMARY KEY ... NOT ENFORCED"},
                "watermark": {"$ref": "#/$defs/watermark"},
                "partitioned-by": {"$ref": "#/$defs/names"},
                "with": {
                  "type": "object",
                  "description": "Connector options, spelled as in SQL.",
                  "minProperties": 1,
                  "additionalProperties": {"$ref": "#/$defs/scalar"}
                }
              }
            },
            "column": {
              "type": "object",
              "additionalProperties": false,
              "properties": {
                "name": {"type": "string"},
                "type": {"type": "string", "description": "A SQL type, NOT NULL allowed."},
                "as": {"type": "string", "description": "The expression of a computed column."},
                "metadata": {"type": ["boolean", "string"], "description": "true, or the metadata key when it differs from the name."},
                "virtual": {"$ref": "#/$defs/flag"},
                "comment": {"type": "string"}
              }
            },
            "watermark": {
              "type": "object",
              "required": ["column"],
              "additionalProperties": false,
              "properties": {
                "column": {"type": "string"},
                "delay": {"$ref": "#/$defs/duration"},
                "as": {"type": "string", "description": "The expression behind WATERMARK FOR ... AS."}
              },
              "oneOf": [{"required": ["delay"]}, {"required": ["as"]}]
            },
            "view": {
              "type": "object",
              "required": ["sql"],
              "additionalProperties": false,
              "properties": {
                "description": {"type": "string"},
                "columns": {"$ref": "#/$defs/names"},
                "sql": {"type": "string"}
              }
            },
            "window": {
              "type": "object",
              "required": ["type", "column"],
              "additionalProperties": false,
              "properties": {
                "type": {"enum": ["tumble", "hop", "cumulate", "session"]},
                "column": {"type": "string", "description": "The time column."},
                "size": {"$ref": "#/$defs/duration"},
                "slide": {"$ref": "#/$defs/duration"},
                "step": {"$ref": "#/$defs/duration"},
                "gap": {"$ref": "#/$defs/duration"},
                "offset": {"$ref": "#/$defs/duration"}
              }
            },
            "delivery": {
              "type": "object",
              "required": ["to"],
              "additionalProperties": false,
              "properties": {
                "description": {"type": "string"},
                "source": {
                  "anyOf": [
                    {"const": "direct-put"},
                    {
                      "type": "object",
                      "additionalProperties": false,
                      "properties": {
                        "stream": {"type": "string", "description": "A stream of the shard log."},
                        "start": {"anyOf": [{"enum": ["TRIM_HORIZON", "LATEST"]}, {"$ref": "#/$defs/variable"}]},
                        "table": {"type": "string", "description": "A table or view of this file."}
                      },
                      "oneOf": [{"required": ["stream"]}, {"required": ["table"]}]
                    }
                  ]
                },
                "record": {
                  "type": "object",
                  "required": ["format", "columns"],
                  "additionalProperties": false,
                  "properties": {
                    "format": {"type": "string"},
                    "columns": {"type": "object", "minProperties": 1, "additionalProperties": {"type": "string", "description": "A SQL type."}},
                    "with": {"type": "object", "description": "Options of the format.", "additionalProperties": {"$ref": "#/$defs/scalar"}}
                  }
                },
                "transform": {
                  "anyOf": [
                    {"type": "string", "description": "SELECT ... FROM record. What it names data is delivered; else an object of JSON with all that it selects."},
                    {
                      "type": "object",
                      "required": ["flatten"],
                      "additionalProperties": false,
                      "properties": {
                        "flatten": {"const": "dynamodb", "description": "Change records become plain objects of the item after the change."},
                        "deleted": {"enum": ["drop", "deliver"], "description": "What becomes of items that are deleted."}
                      }
                    }
                  ]
                },
                "partition-by": {"$ref": "#/$defs/names", "description": "What the transform selects for !{partitionKeyFromQuery:name}."},
                "buffer": {
                  "type": "object",
                  "description": "A file ends when it is this large, or this old.",
                  "additionalProperties": false,
                  "properties": {"size": {"$ref": "#/$defs/scalar"}, "interval": {"$ref": "#/$defs/duration"}}
                },
                "to": {"allOf": [{"$ref": "#/$defs/delivery-files"}], "properties": {"opensearch": {"type": "object"}, "http": {"type": "object"}}},
                "backup": {"$ref": "#/$defs/delivery-files", "description": "All records as they came."}
              }
            },
            "replication": {
              "type": "object",
              "required": ["source", "sink"],
              "additionalProperties": false,
              "properties": {
                "description": {"type": "string"},
                "source": {"$ref": "#/$defs/options", "description": "connector: and its options; {schema} and {table} in path, topic or stream find the tables."},
                "initial": {"$ref": "#/$defs/options", "description": "What is read to its end before the source: an export of the tables."},
                "table-from": {"type": "string", "description": "Metadata of records that names their table, when one source holds many tables."},
                "schema-from": {"type": "string"},
                "defaults": {"$ref": "#/$defs/replicated-table"},
                "tables": {
                  "type": "object",
                  "description": "By schema.table, or by a regular expression over that. Left out: all tables of the source.",
                  "additionalProperties": {"$ref": "#/$defs/replicated-table"}
                },
                "config": {"type": "string", "description": "A JSON file with an object per schema.table: primaryKey, domain, partitionCols."},
                "sink": {"$ref": "#/$defs/options", "description": "connector: and its options, with {domain}, {schema} and {table}."},
                "bounded": {"$ref": "#/$defs/flag", "description": "true: read what there is now, then end."},
                "discovery-interval": {"$ref": "#/$defs/duration"},
                "tables-at-once": {"$ref": "#/$defs/count"},
                "schema-evolution": {"$ref": "#/$defs/flag", "description": "Fields that are not declared become columns by themselves."}
              }
            },
            "options": {"type": "object", "required": ["connector"], "additionalProperties": {"$ref": "#/$defs/scalar"}},
            "columns-or-none": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
            "replicated-table": {
              "type": "object",
              "additionalProperties": false,
              "properties": {
                "key": {"$ref": "#/$defs/columns-or-none", "description": "Columns of the primary key."},
                "partitioned-by": {"$ref": "#/$defs/columns-or-none"},
                "ordering": {"type": "string", "description": "The column that tells the newest version of a row."},
                "domain": {"type": "string", "description": "The table's database in the catalog."},
                "columns": {"type": "object", "additionalProperties": {"type": "string", "description": "A SQL type."}},
                "exclude": {"$ref": "#/$defs/flag"},
                "source": {"type": "object", "additionalProperties": {"$ref": "#/$defs/scalar"}},
                "sink": {"type": "object", "additionalProperties": {"$ref": "#/$defs/scalar"}}
              }
            },
            "secret": {
              "type": "object",
              "description": "Where a secret is kept.",
              "additionalProperties": false,
              "properties": {"env": {"type": "string"}, "file": {"type": "string"}},
              "oneOf": [{"required": ["env"]}, {"required": ["file"]}]
            },
            "secrets": {"type": "object", "description": "By name, for {{ secret.name }}.", "additionalProperties": {"$ref": "#/$defs/secret"}},
            "retries": {"anyOf": [{"type": "integer", "minimum": 0}, {"$ref": "#/$defs/variable"}]},
            "notification": {
              "type": "object",
              "additionalProperties": false,
              "properties": {
                "webhook": {"$ref": "#/$defs/webhook"},
                "command": {"$ref": "#/$defs/command"},
                "email": {"$ref": "#/$defs/email"}
              },
              "oneOf": [{"required": ["webhook"]}, {"required": ["command"]}, {"required": ["email"]}]
            },
            "webhook": {
              "type": "object",
              "required": ["url"],
              "additionalProperties": false,
              "properties": {
                "url": {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/secret"}]},
                "method": {"type": "string", "description": "POST when absent."},
                "headers": {"type": "object", "additionalProperties": {"$ref": "#/$defs/scalar"}},
                "body": {"description": "Text or JSON with {{ placeholders }}; the whole event when absent."},
                "ca": {"type": "string", "description": "A file of certificates in PEM form that are trusted instead of the system's."},
                "secrets": {"$ref": "#/$defs/secrets"},
                "timeout": {"$ref": "#/$defs/duration"},
                "retries": {"$ref": "#/$defs/retries"},
                "backoff": {"$ref": "#/$defs/duration"}
              }
            },
            "command": {
              "type": "object",
              "required": ["run"],
              "additionalProperties": false,
              "properties": {
                "run": {"$ref": "#/$defs/names", "description": "A program and its arguments. The event comes on its standard input."},
                "secrets": {"$ref": "#/$defs/secrets"},
                "timeout": {"$ref": "#/$defs/duration"},
                "retries": {"$ref": "#/$defs/retries"},
                "backoff": {"$ref": "#/$defs/duration"}
              }
            },
            "email": {
              "type": "object",
              "required": ["host", "from", "to"],
              "additionalProperties": false,
              "properties": {
                "host": {"type": "string"},
                "port": {"$ref": "#/$defs/count", "description": "587, with tls: tls 465, with tls: none 25 when absent."},
                "tls": {"anyOf": [{"enum": ["starttls", "tls", "none"]}, {"$ref": "#/$defs/variable"}]},
                "from": {"type": "string"},
                "to": {"$ref": "#/$defs/names"},
                "user": {"type": "string"},
                "password": {"$ref": "#/$defs/secret"},
                "subject": {"type": "string"},
                "body": {"type": "string"},
                "ca": {"type": "string"},
                "secrets": {"$ref": "#/$defs/secrets"},
                "timeout": {"$ref": "#/$defs/duration"},
                "retries": {"$ref": "#/$defs/retries"},
                "backoff": {"$ref": "#/$defs/duration"}
              }
            },
            "alert": {
              "type": "object",
              "required": ["name"],
              "additionalProperties": false,
              "oneOf": [{"required": ["query"]}, {"required": ["metric", "condition"]}],
              "anyOf": [{"required": ["notify"]}, {"required": ["route"]}],
              "properties": {
                "name": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,100}$|\\$\\{"},
                "description": {"type": "string"},
                "query": {"type": "string", "description": "A SELECT."},
                "metric": {"type": "string", "description": "For example numRecordsInPerSecond."},
                "match": {"type": "object", "description": "Labels of the metric; * stands for any characters.", "additionalProperties": {"$ref": "#/$defs/scalar"}},
                "combine": {"anyOf": [{"enum": ["sum", "min", "max", "average"]}, {"$ref": "#/$defs/variable"}]},
                "key": {"$ref": "#/$defs/names", "description": "Columns or labels that tell instances of the alert apart."},
                "value": {"type": "string", "description": "The column that the condition is about."},
                "time": {"type": "string", "description": "The column of event time; the clock when absent."},
                "condition": {
                  "type": "string",
                  "description": "below 300000, above 5, equals 0, not equals 0, between 1 and 5, or a condition of SQL. Without one each row is an alert of its own."
                },
                "for": {"$ref": "#/$defs/duration", "description": "How long the condition has to hold."},
                "throttle": {"type": "string", "description": "as frequently as possible, hourly, daily or weekly: at most one notification for each key in that time."},
                "resolve": {"$ref": "#/$defs/flag", "description": "Notify also when it is over."},
                "severity": {"type": "string"},
                "labels": {"type": "object", "additionalProperties": {"$ref": "#/$defs/scalar"}},
                "enabled": {"$ref": "#/$defs/flag"},
                "notify": {"$ref": "#/$defs/names", "description": "Names of notifications."},
                "route": {
                  "type": "array",
                  "minItems": 1,
                  "items": {
                    "type": "object",
                    "required": ["pattern", "notify"],
                    "additionalProperties": false,
                    "properties": {
                      "pattern": {"type": ["object", "string"], "description": "An event pattern as EventBridge has them."},
                      "notify": {"$ref": "#/$defs/names"}
                    }
                  }
                }
              }
            },
            "delivery-files": {
              "type": "object",
              "required": ["files"],
              "properties": {
                "files": {"type": "string", "description": "A directory."},
                "prefix": {"type": "string", "description": "With !{timestamp:yyyy/MM/dd/HH}, !{firehose:random-string} and !{partitionKeyFromQuery:name}."},
                "error-prefix": {"type": "string", "description": "With !{firehose:error-output-type} and !{timestamp:...}."},
                "compression": {"anyOf": [{"enum": ["none", "gzip"]}, {"$ref": "#/$defs/variable"}]},
                "file-extension": {"type": "string"},
                "time-zone": {"type": "string"},
                "record-delimiter": {"type": "string"}
              }
            },
            "cluster": {
              "type": "object",
              "description": "A Kafka cluster: bootstrap.servers, other properties of the client, and alias, the cluster's name.",
              "required": ["bootstrap.servers"],
              "additionalProperties": {"$ref": "#/$defs/scalar"}
            },
            "mirror": {
              "type": "object",
              "description": "Copies topics from one Kafka cluster to another. Lists hold names and regular expressions.",
              "required": ["from", "to"],
              "additionalProperties": false,
              "properties": {
                "from": {"$ref": "#/$defs/cluster"},
                "to": {"$ref": "#/$defs/cluster"},
                "topics": {"$ref": "#/$defs/names"},
                "exclude": {"$ref": "#/$defs/names"},
                "naming": {"anyOf": [{"enum": ["identity", "prefix"]}, {"$ref": "#/$defs/variable"}]},
                "prefix": {"type": "string", "description": "What stands before names at the target; the source's alias and a point when absent."},
                "start": {"anyOf": [{"enum": ["earliest", "latest"]}, {"$ref": "#/$defs/variable"}]},
                "until": {"anyOf": [{"enum": ["latest", "never"]}, {"$ref": "#/$defs/variable"}]},
                "groups": {"$ref": "#/$defs/names", "description": "Consumer groups whose offsets are carried over."},
                "exclude-groups": {"$ref": "#/$defs/names"},
                "sync.topics": {"$ref": "#/$defs/flag", "description": "Make topics and add partitions."},
                "sync.configs": {"$ref": "#/$defs/flag", "description": "Follow the settings of topics."},
                "sync.interval": {"$ref": "#/$defs/duration"},
                "sync.offsets": {"$ref": "#/$defs/flag"},
                "sync.offsets.interval": {"$ref": "#/$defs/duration"},
                "replication.factor": {"anyOf": [{"type": "integer", "minimum": -1}, {"$ref": "#/$defs/variable"}]},
                "delivery": {"anyOf": [{"enum": ["at-least-once", "exactly-once"]}, {"$ref": "#/$defs/variable"}]}
              }
            },
            "categories": {
              "type": "object",
              "additionalProperties": {
                "type": "object",
                "required": ["column", "values"],
                "additionalProperties": false,
                "properties": {"column": {"type": "string"}, "values": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/scalar"}}}
              }
            },
            "quality-rule": {
              "type": "object",
              "additionalProperties": false,
              "properties": {
                "column": {"type": "string"},
                "is": {"$ref": "#/$defs/scalar", "description": "A boolean expression."},
                "matches": {"type": "string", "description": "A regular expression that is found in the column."},
                "not-null": {"$ref": "#/$defs/flag"},
                "in": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/scalar"}},
                "between": {"type": "array", "minItems": 2, "items": {"$ref": "#/$defs/scalar"}},
                "exists-in": {
                  "type": "object",
                  "required": ["table", "column"],
                  "additionalProperties": false,
                  "properties": {"table": {"type": "string"}, "column": {"type": "string"}, "as": {"type": "string", "description": "A column with what was found."}}
                },
                "yes-means": {"enum": ["met", "broken"], "description": "What 'Yes' in the rule's flag says; broken when left out."}
              }
            },
            "selection": {
              "description": "alias: expression, or a list of expressions.",
              "anyOf": [
                {"type": "object", "minProperties": 1, "additionalProperties": {"$ref": "#/$defs/scalar"}},
                {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/scalar"}}
              ]
            },
            "step": {
              "anyOf": [
                {
                  "type": "object",
                  "required": ["sql"],
                  "additionalProperties": false,
                  "properties": {
                    "name": {"type": "string"},
                    "description": {"type": "string"},
                    "sql": {"type": "string", "description": "A SELECT."},
                    "into": {"$ref": "#/$defs/names"}
                  }
                },
                {
                  "type": "object",
                  "required": ["mirror"],
                  "additionalProperties": false,
                  "properties": {
                    "name": {"type": "string"},
                    "description": {"type": "string"},
                    "mirror": {"$ref": "#/$defs/mirror"}
                  }
                },
                {
                  "type": "object",
                  "required": ["transform", "from", "where"],
                  "additionalProperties": false,
                  "properties": {
                    "name": {"type": "string"},
                    "description": {"type": "string"},
                    "transform": {"const": "filter"},
                    "from": {"$ref": "#/$defs/names"},
                    "where": {"$ref": "#/$defs/scalar"},
                    "into": {"$ref": "#/$defs/names"}
                  }
                },
                {
                  "type": "object",
                  "required": ["transform", "from", "columns"],
                  "additionalProperties": false,
                  "properties": {
                    "name": {"type": "string"},
                    "description": {"type": "string"},
                    "transform": {"const": "select"},
                    "from": {"$ref": "#/$defs/names"},
                    "columns": {"$ref": "#/$defs/selection"},
                    "where": {"$ref": "#/$defs/scalar"},
                    "distinct": {"$ref": "#/$defs/flag"},
                    "into": {"$ref": "#/$defs/names"}
                  }
                },
                {
                  "type": "object",
                  "required": ["transform", "from", "columns"],
                  "additionalProperties": false,
                  "properties": {
                    "name": {"type": "string"},
                    "description": {"type": "string"},
                    "transform": {"const": "aggregate"},
                    "from": {"$ref": "#/$defs/names"},
                    "window": {"$ref": "#/$defs/window"},
                    "by": {"$ref": "#/$defs/names"},
                    "columns": {"$ref": "#/$defs/selection"},
                    "where": {"$ref": "#/$defs/scalar"},
                    "having": {"$ref": "#/$defs/scalar"},
                    "into": {"$ref": "#/$defs/names"}
                  }
                },
                {
                  "type": "object",
                  "required": ["transform", "from"],
                  "additionalProperties": false,
                  "properties": {
                    "name": {"type": "string"},
                    "description": {"type": "string"},
                    "transform": {"const": "union"},
                    "from": {"$ref": "#/$defs/names"},
                    "into": {"$ref": "#/$defs/names"}
                  }
                },
                {
                  "type": "object",
                  "required": ["transform", "from", "column"],
                  "additionalProperties": false,
                  "properties": {
                    "name": {"type": "string"},
                    "description": {"type": "string"},
                    "transform": {"const": "flatten"},
                    "from": {"$ref": "#/$defs/names"},
                    "column": {"type": "string"},
                    "separator": {"type": "string"},
                    "depth": {"type": "integer", "minimum": 1},
                    "lists": {"enum": ["json", "index", "keep"]},
                    "as": {"type": "string"},
                    "columns": {"$ref": "#/$defs/selection"},
                    "where": {"$ref": "#/$defs/scalar"},
                    "into": {"$ref": "#/$defs/names"}
                  }
                },
                {
                  "type": "object",
                  "required": ["transform", "from", "keys", "order-by", "columns"],
                  "additionalProperties": false,
                  "properties": {
                    "name": {"type": "string"},
                    "description": {"type": "string"},
                    "transform": {"const": "deduplicate"},
                    "from": {"$ref": "#/$defs/names"},
                    "keys": {"$ref": "#/$defs/names"},
                    "order-by": {"$ref": "#/$defs/names"},
                    "keep": {"enum": ["last", "first"]},
                    "deleted": {"$ref": "#/$defs/scalar"},
                    "columns": {"$ref": "#/$defs/selection"},
                    "into": {"$ref": "#/$defs/names"}
                  }
                },
                {
                  "type": "object",
                  "required": ["name", "transform", "from", "rules"],
                  "additionalProperties": false,
                  "properties": {
                    "name": {"type": "string"},
                    "description": {"type": "string"},
                    "transform": {"const": "quality"},
                    "from": {"$ref": "#/$defs/names"},
                    "rules": {
                      "type": "object",
                      "description": "By name: a condition that good records meet.",
                      "minProperties": 1,
                      "additionalProperties": {"anyOf": [{"$ref": "#/$defs/scalar"}, {"$ref": "#/$defs/quality-rule"}]}
                    },
                    "columns": {"$ref": "#/$defs/selection", "description": "Of good and bad records; left out: all of the source, the flags and dq_flag."},
                    "good": {"$ref": "#/$defs/names", "description": "Tables of records that meet every rule."},
                    "bad": {"$ref": "#/$defs/names", "description": "Tables of all other records."},
                    "score": {
                      "description": "Tables of the score card: by or name, records, bad_records, a percentage for each rule, bad_percent.",
                      "anyOf": [
                        {"$ref": "#/$defs/names"},
                        {
                          "type": "object",
                          "required": ["into"],
                          "additionalProperties": false,
                          "properties": {"into": {"$ref": "#/$defs/names"}, "by": {"$ref": "#/$defs/names"}}
                        }
                      ]
                    },
                    "final": {"$ref": "#/$defs/flag", "description": "true: write once the input has ended, rows that do not change any more."},
                    "into": {"$ref": "#/$defs/names", "description": "Tables of all records with their flags."}
                  }
                },
                {
                  "type": "object",
                  "required": ["transform", "from"],
                  "additionalProperties": false,
                  "properties": {
                    "name": {"type": "string"},
                    "description": {"type": "string"},
                    "transform": {"const": "encode"},
                    "from": {"$ref": "#/$defs/names"},
                    "columns": {"$ref": "#/$defs/selection"},
                    "one-hot": {"$ref": "#/$defs/categories", "description": "By prefix: a column of 0 and 1 for each value."},
                    "bins": {
                      "type": "object",
                      "description": "By prefix: a column of 0 and 1 for each named bin, or the number of the bin.",
                      "additionalProperties": {
                        "type": "object",
                        "required": ["column", "edges"],
                        "additionalProperties": false,
                        "properties": {
                          "column": {"type": "string"},
                          "edges": {"type": "array", "minItems": 2, "items": {"type": "number"}, "description": "A bin holds its lower edge, not its upper one."},
                          "names": {"$ref": "#/$defs/names"}
                        }
                      }
                    },
                    "ordinal": {"$ref": "#/$defs/categories", "description": "By name: the place of the value in the list."},
                    "into": {"$ref": "#/$defs/names"}
                  }
                },
                {
                  "type": "object",
                  "required": ["transform", "from"],
                  "additionalProperties": false,
                  "properties": {
                    "name": {"type": "string"},
                    "description": {"type": "string"},
                    "transform": {"const": "anomaly"},
                    "from": {"$ref": "#/$defs/names"},
                    "time": {"type": "string", "description": "The time attribute."},
                    "interval": {"$ref": "#/$defs/duration"},
                    "key": {"$ref": "#/$defs/names"},
                    "aggregates": {
                      "type": "object",
                      "description": "By name, up to five: one of sum, count, min, max, average and cardinality with a column.",
                      "minProperties": 1,
                      "additionalProperties": {"type": "object", "minProperties": 1, "additionalProperties": {"type": "string"}}
                    },
                    "columns": {"$ref": "#/$defs/names", "description": "In place of interval and aggregates: each record is scored by these."},
                    "trees": {"$ref": "#/$defs/count"},
                    "samples": {"$ref": "#/$defs/count", "description": "Points that each tree holds."},
                    "decay": {"$ref": "#/$defs/count", "description": "Points over which the past is forgotten."},
                    "shingle": {"$ref": "#/$defs/count", "description": "Consecutive points that are looked at as one."},
                    "seed": {"anyOf": [{"type": "integer"}, {"$ref": "#/$defs/variable"}]},
                    "initialize": {"$ref": "#/$defs/count", "description": "Points that are learned before the first score."},
                    "normalize": {"$ref": "#/$defs/flag"},
                    "threshold": {"anyOf": [{"type": "number", "minimum": 0}, {"$ref": "#/$defs/variable"}]},
                    "into": {"$ref": "#/$defs/names"}
                  }
                }
              ]
            }
          }
        }
        """#
}
