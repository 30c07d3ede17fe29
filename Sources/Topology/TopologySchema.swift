extension Topology {
    /// The JSON Schema (draft 2020-12) of YAML topology files, for editors and other tools.
    public static let jsonSchema = #"""
        {
          "$schema": "https://json-schema.org/draft/2020-12/schema",
          "$id": "https://swiftwater.dev/schemas/topology.json",
          "title": "Swiftwater topology",
          "description": "Tables, views and the steps between them. ${NAME} and ${NAME:-default} are replaced by variables before the file is read; $${ stands for ${.",
          "type": "object",
          "anyOf": [{"required": ["pipeline"]}, {"required": ["delivery-streams"]}, {"required": ["replications"]}],
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
            }
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
                "idle-timeout": {"$ref": "#/$defs/scalar", "description": "A source that is silent for this long holds no watermark back."}
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
                }
              ]
            }
          }
        }
        """#
}
