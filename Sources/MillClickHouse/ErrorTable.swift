package import MillCore

/// What an error code says about the rows of the INSERT that got it.
package enum ErrorMeaning: Hashable, Sendable {
  /// Raised before any row is written.
  case refusedBefore(RefusalKind)
  /// May be raised while a part is written: nothing is there if the block is one part, else other parts may be.
  case refusedAmidst(RefusalKind)
  /// Rows may be there.
  case unknownOutcome
}

/// ClickHouse's error codes as one table. A code that isn't listed says nothing about the rows.
///
/// Where it isn't certain that a code is raised before the first row is written, the weaker meaning stands here: it costs a count, the
/// stronger one would cost rows. An error raised by a view after the table took the rows is told by its text, before this table is asked.
package enum ErrorTable {
  /// - Parameter text: what the server says, to its end.
  package static func meaning(of code: Int, _ text: String) -> ErrorMeaning {
    if code == tooManyParts { return .refusedBefore(text.contains("Too many partitions") ? .tooManyPartitions : .transient) }
    let meaning = meanings[code] ?? .unknownOutcome
    let isOfMoreThanRows = ofRowsWhereAFunctionIsNamed.contains(code)
    guard isOfMoreThanRows || meaning == .refusedAmidst(.data) else { return meaning }
    guard let names = functions(text) else { return isOfMoreThanRows && !text.contains(tooShort) ? meaning : .refusedAmidst(.data) }
    // A dictionary that doesn't load answers with the code of what is wrong with its source.
    return names.contains(where: namesDictionary) ? .unknownOutcome : .refusedAmidst(.data)
  }

  private static let opening = "while executing 'FUNCTION "

  /// What the server says of the functions that it was executing over rows when an error came, the outermost first: their arguments, calls
  /// within them and what they make; nil where it names none. Old servers do not: there the words are a value's.
  ///
  /// A value may be quoted before them, with whatever words: `…'value': while executing 'FUNCTION f(x : 0) -> f(x) T : 1': while …`.
  private static func functions(_ text: String) -> [Substring]? {
    let places = text.ranges(of: opening)
    guard let last = places.last, !text[last.upperBound...].contains(", e.what() = ") else { return nil }
    var names = [text[last.upperBound...]]
    for (place, next) in zip(places, places.dropFirst()).reversed() {
      let function = text[place.upperBound..<next.lowerBound]
      guard function.hasSuffix("': "), function.dropLast(3).last?.isNumber == true, function.contains(") -> ") else { break }
      names.append(function)
    }
    return names
  }

  /// Whether a function is called that asks a dictionary, be it by an argument or in one branch of several.
  private static func namesDictionary(_ function: Substring) -> Bool {
    function.ranges(of: "dict").contains { place in
      let isName = place.lowerBound == function.startIndex || !isOfName(function[function.index(before: place.lowerBound)])
      return isName && function[place.upperBound...].drop(while: isOfName).first == "("
    }
  }

  private static func isOfName(_ character: Character) -> Bool { character.isLetter || character.isNumber || character == "_" }

  /// Raised by functions over values, and for other reasons too: the rows are to blame only where the server names the function that it
  /// was executing over them. An argument that is wrong for each row makes each a dead letter, as a constraint does that none meets.
  private static let ofRowsWhereAFunctionIsNamed: Set<Int> = [
    12,  // PARAMETER_OUT_OF_BOUND
    25,  // CANNOT_PARSE_ESCAPE_SEQUENCE: of a LIKE
    32,  // ATTEMPT_TO_READ_AFTER_EOF: of bodies too
    33,  // CANNOT_READ_ALL_DATA: of bodies too
    36,  // BAD_ARGUMENTS: of settings too
    42,  // NUMBER_OF_ARGUMENTS_DOESNT_MATCH: arrays of other lengths
    117,  // INCORRECT_DATA: of a block's header too
    353,  // INDEX_OF_POSITIONAL_ARGUMENT_IS_OUT_OF_RANGE
    427,  // CANNOT_COMPILE_REGEXP
    454,  // OPENSSL_ERROR: what doesn't decrypt
  ]

  /// What 18.16, which names no function, says of a text only.
  private static let tooShort = "because value is too short"

  /// TOO_MANY_PARTS, which goes by its message.
  package static let tooManyParts = 252

  /// Codes that say something about the replica which was asked: another one may take the rows.
  package static let ofOneReplica: Set<Int> = [202, 225, 241, 242, 243, 733, 745, 762]

  /// Each code stands in one list only; a test checks it.
  package static let lists: [(meaning: ErrorMeaning, codes: [Int])] = [
    (.refusedBefore(.transient), bodyNotWhole + beforeTheInsert), (.refusedAmidst(.transient), whileWriting),
    (.refusedBefore(.schema), notTheTableDescribed),
    (.refusedBefore(.data), rowsOfTheWholeBlock), (.refusedAmidst(.data), rowsPartByPart),
    (.refusedBefore(.configuration), rightsAndSettings), (.refusedAmidst(.configuration), argumentsOrSettings),
    (.unknownOutcome, unknown),
  ]

  /// The body came cut or changed, so that nothing of its one block was taken. What was sent had been checked against the log, so that this
  /// says something about the way to the server and nothing about the rows, however often it comes: never ``RefusalKind/data``.
  private static let bodyNotWhole = [
    33,  // CANNOT_READ_ALL_DATA: a frame is cut
    40,  // CHECKSUM_DOESNT_MATCH (18.16)
    271,  // CANNOT_DECOMPRESS: a frame's checksum, since then
    432,  // UNKNOWN_CODEC: a frame's method
    3,  // UNEXPECTED_END_OF_FILE: chunked, without its end
  ]

  private static let beforeTheInsert = [
    202,  // TOO_MANY_SIMULTANEOUS_QUERIES
    700,  // USER_SESSION_LIMIT_EXCEEDED
    733,  // TABLE_IS_BEING_RESTARTED
    745,  // SERVER_OVERLOADED
    762,  // HTTP_CONNECTION_LIMIT_REACHED
  ]

  private static let whileWriting = [
    201,  // QUOTA_EXCEEDED: bytes are counted before they are written, time after
    225,  // NO_ZOOKEEPER
    241,  // MEMORY_LIMIT_EXCEEDED
    242,  // TABLE_IS_READ_ONLY
    243,  // NOT_ENOUGH_SPACE
    285,  // TOO_FEW_LIVE_REPLICAS: looked at again for each part
    286,  // UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE
    289,  // REPLICA_IS_NOT_IN_QUORUM
    290,  // LIMIT_EXCEEDED
    439,  // CANNOT_SCHEDULE_TASK
    473,  // DEADLOCK_AVOIDED
    777,  // MEMORY_RESERVATION_KILLED
    778,  // MEMORY_RESERVATION_FAILED
  ]

  private static let notTheTableDescribed = [
    8,  // THERE_IS_NO_COLUMN
    10,  // NOT_FOUND_COLUMN_IN_BLOCK
    16,  // NO_SUCH_COLUMN_IN_TABLE
    20,  // NUMBER_OF_COLUMNS_DOESNT_MATCH
    43,  // ILLEGAL_TYPE_OF_ARGUMENT
    44,  // ILLEGAL_COLUMN
    47,  // UNKNOWN_IDENTIFIER
    50,  // UNKNOWN_TYPE
    53,  // TYPE_MISMATCH: rows are sent with the types of DESCRIBE, so that it is the table that has changed
    60,  // UNKNOWN_TABLE
    81,  // UNKNOWN_DATABASE
    117,  // INCORRECT_DATA: a block's header
    171,  // BLOCKS_HAVE_DIFFERENT_STRUCTURE (18.16)
    218,  // TABLE_IS_DROPPED
    368,  // bad cast of a column (18.16)
  ]

  /// Constraints are looked at before the block is cut into parts, and no expression raises their code.
  private static let rowsOfTheWholeBlock = [
    469  // VIOLATED_CONSTRAINT
  ]

  /// Raised by expressions over the rows; those of sorting keys, skip indexes and TTLs are computed part by part, when the parts before are
  /// committed.
  private static let rowsPartByPart = [
    6,  // CANNOT_PARSE_TEXT
    26,  // CANNOT_PARSE_QUOTED_STRING
    27,  // CANNOT_PARSE_INPUT_ASSERTION_FAILED
    38,  // CANNOT_PARSE_DATE
    41,  // CANNOT_PARSE_DATETIME
    69,  // ARGUMENT_OUT_OF_BOUND
    70,  // CANNOT_CONVERT_TYPE
    72,  // CANNOT_PARSE_NUMBER
    128,  // TOO_LARGE_ARRAY_SIZE
    130,  // CANNOT_READ_ARRAY_FROM_TEXT
    131,  // TOO_LARGE_STRING_SIZE
    153,  // ILLEGAL_DIVISION
    190,  // SIZES_OF_ARRAYS_DONT_MATCH
    321,  // VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE
    349,  // CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN: by a CAST, as rows are sent with the types of DESCRIBE
    376,  // CANNOT_PARSE_UUID
    395,  // FUNCTION_THROW_IF_VALUE_IS_NON_ZERO
    407,  // DECIMAL_OVERFLOW
    441,  // CANNOT_PARSE_DOMAIN_VALUE_FROM_STRING
    467,  // CANNOT_PARSE_BOOL
    675,  // CANNOT_PARSE_IPV4
    676,  // CANNOT_PARSE_IPV6
    691,  // UNKNOWN_ELEMENT_OF_ENUM
  ]

  private static let rightsAndSettings = [
    46,  // UNKNOWN_FUNCTION
    48,  // NOT_IMPLEMENTED
    62,  // SYNTAX_ERROR
    73,  // UNKNOWN_FORMAT
    115,  // UNKNOWN_SETTING
    164,  // READONLY: the user's profile
    192,  // UNKNOWN_USER
    193,  // WRONG_PASSWORD
    194,  // REQUIRED_PASSWORD
    195,  // IP_ADDRESS_NOT_ALLOWED
    381,  // HTTP_LENGTH_REQUIRED
    452,  // SETTING_CONSTRAINT_VIOLATION
    497,  // ACCESS_DENIED
    512,  // SET_NON_GRANTED_ROLE
    516,  // AUTHENTICATION_FAILED
    764,  // DEDUPLICATION_IS_NOT_POSSIBLE
    774,  // TABLE_IS_PERMANENTLY_READ_ONLY
  ]

  private static let argumentsOrSettings = [
    36  // BAD_ARGUMENTS
  ]

  private static let unknown = [
    95,  // CANNOT_READ_FROM_SOCKET
    96,  // CANNOT_WRITE_TO_SOCKET
    159,  // TIMEOUT_EXCEEDED
    198,  // DNS_ERROR
    203,  // NO_FREE_CONNECTION
    209,  // SOCKET_TIMEOUT
    210,  // NETWORK_ERROR
    216,  // QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING: a proxy has repeated the request, the first copy is at work
    236,  // ABORTED
    244,  // UNEXPECTED_ZOOKEEPER_ERROR
    254,  // NO_ACTIVE_REPLICAS
    279,  // ALL_CONNECTION_TRIES_FAILED
    319,  // UNKNOWN_STATUS_OF_INSERT
    364,  // RECEIVED_ERROR_TOO_MANY_REQUESTS
    384,  // PART_IS_TEMPORARILY_LOCKED
    394,  // QUERY_WAS_CANCELLED
    416,  // REPLICA_STATUS_CHANGED
    425,  // SYSTEM_ERROR
    499,  // S3_ERROR
    529,  // NOT_A_LEADER
    568,  // RAFT_ERROR
    574,  // DISTRIBUTED_TOO_MANY_PENDING_BYTES
    710,  // FAULT_INJECTED: at any place
    999,  // KEEPER_EXCEPTION
    1000,  // POCO_EXCEPTION
    1001,  // STD_EXCEPTION
    1002,  // UNKNOWN_EXCEPTION
  ]

  private static let meanings: [Int: ErrorMeaning] = Dictionary(
    lists.flatMap { list in list.codes.map { ($0, list.meaning) } }, uniquingKeysWith: { first, _ in first })
}
