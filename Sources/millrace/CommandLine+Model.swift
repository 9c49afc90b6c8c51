/// A command of `millrace` as its help shows it and its arguments are read by.
struct CommandModel: Sendable {
  /// With a blank for a subcommand: `checkpoint list`.
  var name: String
  /// One line for the list of commands.
  var summary: String
  /// Paragraphs of the command's own help.
  var discussion: [String]
  /// Names of positional arguments, each required.
  var arguments: [Argument] = []
  /// What may follow them, any number, at least one; nil: nothing.
  var more: Argument?
  var options: [Option] = []
  /// Each with a comment behind `#`.
  var examples: [String] = []

  /// A positional argument.
  struct Argument: Sendable {
    var name: String
    var help: String
    /// What it must be one of, for completion; empty: anything.
    var choices: [String] = []
  }

  /// `--name` or `--name VALUE`.
  struct Option: Sendable {
    var name: String
    /// What stands for the value in the help; nil for a flag.
    var value: String?
    /// As the help shows it; nil: none.
    var defaultText: String?
    var help: String
    /// What the value must be one of, for completion; empty: anything.
    var choices: [String] = []

    /// A flag.
    init(_ name: String, _ help: String) {
      self.name = name
      self.help = help
    }

    /// An option with a value.
    init(_ name: String, _ value: String, default defaultText: String? = nil, _ help: String, choices: [String] = []) {
      self.name = name
      self.choices = choices
      self.value = value
      self.defaultText = defaultText
      self.help = help
    }
  }
}

/// Options that every command takes.
let commonOptions: [CommandModel.Option] = [
  .init(
    "--log-level", "LEVEL", default: "info", "How much is logged: trace, debug, info, warning or error",
    choices: LogLevel.allCases.map(\.rawValue)),
  .init("--log-format", "FORMAT", default: "text", "How it is logged: text or json", choices: LogFormat.allCases.map(\.rawValue)),
  .init("--help", "Show help for this command"),
]

private let file = CommandModel.Argument(name: "FILE", help: "The pipeline file (YAML)")
private let json = CommandModel.Option("--json", "Print JSON")

/// Every command, in the order of the help.
let commandModels: [CommandModel] = [
  CommandModel(
    name: "run", summary: "Run a pipeline in the foreground",
    discussion: [
      "Reads Kafka from where the pipeline's state left off and inserts into ClickHouse, each row once. A state directory that isn't"
        + " there starts a new lineage. Waits for Kafka or ClickHouse where they are down.",
      "SIGTERM, SIGINT, or SIGHUP where it isn't ignored: finishes the epoch, saves a checkpoint, ends with 0 without waiting for"
        + " ClickHouse. A second one after a second, or SIGQUIT: ends at once with 1, and the next start recovers.",
    ],
    arguments: [file],
    options: [
      .init("--until-end", "Stop once everything that the topic held at the start is in the table"),
      .init(
        "--accept-dead-letters",
        "Let a new lineage go on although none of its first records can be decoded; without it, it stops before anything is sealed"),
      .init("--new-lineage", "Go on where another lineage has run; says which rows may be doubled"),
      .init(
        "--wait-at-most", "DURATION", default: "without end",
        "End with 1 where that long, such as 60s, was waited for Kafka (with --until-end open transactions too), for ClickHouse since the last batch that it took, for room on a disk, or for dead letters at their bound"
      ),
      .init(
        "--accept-loss", "TOPIC/PARTITION:FIRST-LAST",
        "Give up records that Kafka has deleted before they were read, or a batch that can't be unpacked: exactly the range that a stop (K3, K12) names; may stand several times"
      ),
    ],
    examples: ["millrace run pipeline.yaml", "millrace run pipeline.yaml --until-end   # a backfill"]),
  CommandModel(
    name: "check", summary: "Check a pipeline file, and with --connect its topic and table",
    discussion: [
      "Prints every problem with its line and what is allowed. Ends with 0 when there is none, else with 3; with --connect also with 1,"
        + " where Kafka or ClickHouse doesn't answer or a right at Kafka is missing, with 4 where another program commits for its group."
    ],
    arguments: [file],
    options: [.init("--connect", "Also ask Kafka and ClickHouse: topic and its newest records, columns, types, rights, delivery")],
    examples: ["millrace check pipeline.yaml", "millrace check pipeline.yaml --connect"]),
  CommandModel(
    name: "explain", summary: "Draw a pipeline: its graph, its fields, its plan",
    discussion: ["Connects to nothing. Secrets are not in it."], arguments: [file],
    options: [
      .init("--format", "FORMAT", default: "text", "text, mermaid (for Markdown) or json", choices: GraphFormat.allCases.map(\.rawValue))
    ],
    examples: ["millrace explain pipeline.yaml", "millrace explain pipeline.yaml --format mermaid"]),
  CommandModel(
    name: "eval", summary: "Try an expression: print its value and type, or what is wrong with it",
    discussion: [
      "Reads no pipeline; the fields that the expression names are given by --field. Ends with 1 where the row has no value, such as at a"
        + " division by zero, with 2 where the text is no expression over these fields. With - for EXPR every line of stdin is an"
        + " expression, and its answer one line of JSON."
    ],
    arguments: [.init(name: "EXPR", help: "The expression, or - for lines of stdin")],
    options: [
      .init(
        "--field", "NAME=TYPE:VALUE",
        "A field, its value as the string of a record would be read, NULL for a Nullable one; may stand several times"), json,
    ],
    examples: [
      "millrace eval 'price * quantity > 100' --field 'price=Decimal(9, 2):19.99' --field quantity=UInt32:7"
    ]),
  CommandModel(
    name: "dead-letters list", summary: "Count a pipeline's dead letters by reason and show the newest",
    discussion: ["Reads the files below dead_letters.path. Ends with 1 where one of them can't be read."], arguments: [file],
    options: [
      .init("--reason", "REASON", "Show only those of this reason"),
      .init("--limit", "N", default: "20", "How many of the newest to show"),
      .init("--json", "Print their lines as they are, JSON, without the counts"),
    ],
    examples: [
      "millrace dead-letters list pipeline.yaml", "millrace dead-letters list pipeline.yaml --reason late --limit 1000000 --json",
    ]),
  CommandModel(
    name: "reference", summary: "Print a pipeline file with every key and its documentation", discussion: [],
    examples: ["millrace reference > pipeline.yaml"]),
  CommandModel(
    name: "completion", summary: "Print the completion script of a shell", discussion: [],
    arguments: [.init(name: "SHELL", help: "bash, zsh or fish", choices: Shell.allCases.map(\.rawValue))],
    examples: ["source <(millrace completion bash)", "millrace completion fish | source"]),
  CommandModel(
    name: "generate", summary: "Write synthetic events into a topic",
    discussion: [
      "JSON events of about 195 bytes with event_id, user_id, amount, created_at, name and text; the same seed gives the"
        + " same ids, users, amounts and duplicates. The topic"
        + " is created where it isn't there."
    ],
    options: [
      .init("--brokers", "LIST", default: "localhost:9092", "Kafka's addresses"),
      .init("--topic", "TOPIC", default: "transactions", "The topic to write into"),
      .init("--partitions", "N", default: "3", "Partitions of a topic that has to be created"),
      .init("--count", "N", default: "100000", "Events to write, duplicates and garbage included"),
      .init("--rate", "N", default: "0", "Events a second; 0: as fast as it goes"),
      .init("--linger", "MS", default: "20", "How long an event may wait for others of its batch"),
      .init("--duplicates", "PERCENT", default: "10", "How many of the events repeat an earlier one, byte for byte"),
      .init("--reach", "N", default: "1000", "A duplicate repeats one of the last N different events"),
      .init(
        "--span", "SECONDS", default: "0",
        "Let created_at run evenly over so many seconds, up to now, as in a backlog; 0: it is the time of writing"),
      .init("--garbage", "PERCENT", default: "0", "How many of the events are no JSON"),
      .init("--users", "N", default: "1000", "Different user ids"),
      .init("--seed", "N", default: "1", "Start of the random numbers"),
      .init("--spread-duplicates", "Send duplicates to any partition, not to that of their original"),
      .init("--disorder", "MS", default: "0", "created_at stands up to so many milliseconds before the time of writing"),
      .init(
        "--property", "NAME=VALUE",
        "As in kafka.properties of a pipeline file, such as security.protocol=ssl or 'sasl.password=${file:PATH}'; may stand several times"),
      .init("--pipeline", "FILE", "Take brokers, properties and topic of this pipeline file"),
      json,
    ],
    examples: [
      "millrace generate --count 1000000 --duplicates 10", "millrace generate --topic payments --rate 5000 --count 300000   # a minute",
    ]),
  CommandModel(
    name: "broker", summary: "Run a small Kafka broker for trying things out",
    discussion: [
      "librdkafka's mock cluster in one process. Prints its address as export KAFKA_BROKERS=..., and runs until SIGTERM or SIGINT."
        + " Keeps everything in memory, 5 MB a partition, and forgets it at its end; no admin API, no"
        + " transactions to rely on. Not for data that matters."
    ],
    options: [
      .init("--topic", "TOPIC:PARTITIONS", "A topic to create; may stand several times"),
      .init("--brokers", "N", default: "1", "Brokers of the cluster"),
      json,
    ],
    examples: ["millrace broker --topic transactions:3"]),
  CommandModel(
    name: "checkpoint list", summary: "List a pipeline's checkpoints, newest first", discussion: [], arguments: [file], options: [json],
    examples: ["millrace checkpoint list pipeline.yaml"]),
  CommandModel(
    name: "checkpoint show", summary: "Show the newest checkpoint: offsets, watermark, files", discussion: [], arguments: [file],
    options: [.init("--epoch", "N", "The checkpoint of this epoch instead"), json],
    examples: ["millrace checkpoint show pipeline.yaml"]),
  CommandModel(
    name: "checkpoint verify", summary: "Read every file of every checkpoint and compare its checksum",
    discussion: ["Ends with 0 when all are whole, with 1 when one isn't."], arguments: [file], options: [json],
    examples: ["millrace checkpoint verify pipeline.yaml"]),
  CommandModel(
    name: "verify", summary: "Prove that the table has what was sealed for it, each row once",
    discussion: [
      "Compares what ledger and log say with the table's rows, batch by batch, with the dead letters' files and with the topic's offsets;"
        + " names missing, extra and doubled rows. May run while the pipeline does. Needs the table's provenance column.",
      "Ends with 0 when all of it is proven, with 1 when something is wrong or could not be asked, with 4 when ledger or log are not whole:"
        + " then nothing can be proven.",
    ],
    arguments: [file], options: [json], examples: ["millrace verify pipeline.yaml", "millrace verify pipeline.yaml --json"]),
  CommandModel(
    name: "state stats", summary: "Show how many keys the newest checkpoint remembers, in how many bytes, since when",
    discussion: ["Looks into a clone of the newest checkpoint that verifies; the pipeline may run meanwhile."], arguments: [file],
    options: [json], examples: ["millrace state stats pipeline.yaml"]),
  CommandModel(
    name: "state get", summary: "Show whether a key is known, since when, from which record, until when",
    discussion: [
      "Answers why a record was dropped as a duplicate. Values are read as a record's would be: as a JSON string, else as a JSON literal."
        + " The answer is as of the newest checkpoint that verifies; the pipeline may run meanwhile."
    ],
    arguments: [file], more: .init(name: "FIELD=VALUE", help: "Each field of the deduplicate operator's key"), options: [json],
    examples: ["millrace state get pipeline.yaml event_id=abc", "millrace state get pipeline.yaml shop=7 order=2026-1"]),
]

/// Commands of the contract that this version hasn't.
let laterCommands: [String: String] = [
  "drill": "millrace-sim runs the engine under faults",
  "state scan": "millrace state get FILE field=value looks one key up",
  "dead-letters replay": "produce the payloads again: millrace dead-letters list FILE --json has them",
  "checkpoint export": "copy the directory of the checkpoint",
  "checkpoint import": "copy the directory of the checkpoint into place",
]
