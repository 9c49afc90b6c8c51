extension Function {
  /// Functions of ClickHouse that aren't there on purpose, by lower case: why, and what to take.
  static let absent: [String: String] = [
    "reverse": "it breaks UTF-8, take reverseUTF8",
    "lowerutf8": "its tables are ClickHouse's own; lower changes ASCII letters",
    "upperutf8": "its tables are ClickHouse's own; upper changes ASCII letters",
    "parsedatetimebesteffort": "it guesses; take parseDateTime(text, format) or cast(text as DateTime)",
    "toyyyymm": "take formatDateTime(t, '%Y%m')",
    "today": "a result must be a function of its row; toDate(now()) is the epoch's day",
    "tostartofinterval": "write toStartOfInterval(t, interval 5 minute)",
    "rand": "a result must be a function of its row", "generateuuidv4": "a result must be a function of its row",
    "nullin": "take in", "arraymap": "there are no lambdas", "arrayfilter": "there are no lambdas",
  ]
}
