"""Run by the interpreter that has ClickHouse 26.9 (chdb-core): reads expressions, a line of JSON each, and prints for each a line of
JSON: its value as toString gives it (null: NULL) and its type, or the error. Many go into one query; one that fails is looked for by halves."""

import json
import sys

from chdb import session

SESSION = session.Session()


def ask(expressions):
    columns = ", ".join(f"toString({e}) AS v{i}, toTypeName({e}) AS t{i}" for i, e in enumerate(expressions))
    row = json.loads(SESSION.query(f"SELECT {columns}", "JSONCompactEachRow").bytes().decode(errors="replace"))
    return [{"value": row[2 * i], "type": row[2 * i + 1]} for i in range(len(expressions))]


def answers(expressions):
    try:
        return ask(expressions)
    except Exception as error:
        if len(expressions) == 1:
            return [{"error": str(error)[:200]}]
        half = len(expressions) // 2
        return answers(expressions[:half]) + answers(expressions[half:])


def main():
    expressions = [json.loads(line) for line in sys.stdin]
    for start in range(0, len(expressions), 64):
        for answer in answers(expressions[start:start + 64]):
            print(json.dumps(answer))


main()
