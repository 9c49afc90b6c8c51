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
package enum ErrorTable {
  package static func meaning(of error: ServerError) -> ErrorMeaning {
    if error.code == 252 {
      return .refusedBefore(error.message.contains("Too many partitions") ? .tooManyPartitions : .transient)
    }
    return meanings[error.code] ?? .unknownOutcome
  }

  /// Each code stands in one list only; a test checks it.
  package static let lists: [(meaning: ErrorMeaning, codes: [Int])] = [
    (
      .refusedBefore(.transient),
      [
        // The body came cut or changed: one block, so nothing was taken.
        3, 33, 40, 271, 432,
        // QUOTA_EXCEEDED, TOO_MANY_SIMULTANEOUS_QUERIES, NO_FREE_CONNECTION, TOO_FEW_LIVE_REPLICAS,
        // UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE, REPLICA_IS_NOT_IN_QUORUM
        201, 202, 203, 285, 286, 289,
        // DEADLOCK_AVOIDED (lock of the table), TABLE_IS_BEING_RESTARTED,
        // SERVER_OVERLOADED, HTTP_CONNECTION_LIMIT_REACHED, MEMORY_RESERVATION_*
        473, 733, 745, 762, 777, 778,
      ]
    ),
    (
      // NO_ZOOKEEPER, MEMORY_LIMIT_EXCEEDED, TABLE_IS_READ_ONLY, NOT_ENOUGH_SPACE, LIMIT_EXCEEDED, CANNOT_SCHEDULE_TASK
      .refusedAmidst(.transient), [225, 241, 242, 243, 290, 439]
    ),
    (
      // THERE_IS_NO_COLUMN, NOT_FOUND_COLUMN_IN_BLOCK, NO_SUCH_COLUMN_IN_TABLE, NUMBER_OF_COLUMNS_DOESNT_MATCH,
      // ILLEGAL_TYPE_OF_ARGUMENT, ILLEGAL_COLUMN, UNKNOWN_IDENTIFIER, UNKNOWN_TYPE, TYPE_MISMATCH, UNKNOWN_TABLE, UNKNOWN_DATABASE,
      // INCORRECT_DATA of a header, BLOCKS_HAVE_DIFFERENT_STRUCTURE, TABLE_IS_DROPPED, bad cast of a column (18.16)
      .refusedBefore(.schema), [8, 10, 16, 20, 43, 44, 47, 50, 53, 60, 81, 117, 171, 218, 368]
    ),
    (
      // CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN, VIOLATED_CONSTRAINT: looked at over the whole block
      .refusedBefore(.data), [349, 469]
    ),
    (
      // Raised by expressions over the rows, that of the sorting key too, which is computed part by part: CANNOT_PARSE_*, CANNOT_READ_*,
      // CANNOT_CONVERT_TYPE, ARGUMENT_OUT_OF_BOUND, TOO_LARGE_*, SIZES_OF_*_DOESNT_MATCH,
      // ILLEGAL_DIVISION, DECIMAL_OVERFLOW, UNKNOWN_ELEMENT_OF_ENUM …
      .refusedAmidst(.data), [6, 27, 38, 41, 69, 70, 72, 128, 131, 153, 190, 321, 376, 407, 441, 467, 675, 676, 691]
    ),
    (
      // UNKNOWN_FUNCTION, NOT_IMPLEMENTED, SYNTAX_ERROR, UNKNOWN_FORMAT, UNKNOWN_SETTING, READONLY, UNKNOWN_USER, WRONG_PASSWORD,
      // REQUIRED_PASSWORD, IP_ADDRESS_NOT_ALLOWED, HTTP_LENGTH_REQUIRED, SETTING_CONSTRAINT_VIOLATION, ACCESS_DENIED, ROLES_NOT_GRANTED,
      // AUTHENTICATION_FAILED, DEDUPLICATION_IS_NOT_POSSIBLE, TABLE_IS_PERMANENTLY_READ_ONLY
      .refusedBefore(.configuration), [46, 48, 62, 73, 115, 164, 192, 193, 194, 195, 381, 452, 497, 512, 516, 764, 774]
    ),
    (
      // BAD_ARGUMENTS comes from settings, but from functions over rows too
      .refusedAmidst(.configuration), [36]
    ),
    (
      // SOCKET and NETWORK errors, TIMEOUT_EXCEEDED, DNS_ERROR, ABORTED, UNEXPECTED_ZOOKEEPER_ERROR, UNKNOWN_STATUS_OF_INSERT,
      // QUERY_WITH_SAME_ID_IS_ALREADY_RUNNING (a proxy has repeated the request: the first copy is at work),
      // QUERY_WAS_CANCELLED, S3_ERROR, KEEPER_EXCEPTION, and whatever Poco, the standard library or anything unknown has thrown
      .unknownOutcome, [95, 96, 159, 198, 209, 210, 216, 236, 244, 319, 394, 499, 999, 1000, 1001, 1002]
    ),
  ]

  private static let meanings: [Int: ErrorMeaning] = Dictionary(
    lists.flatMap { list in list.codes.map { ($0, list.meaning) } }, uniquingKeysWith: { first, _ in first })
}
