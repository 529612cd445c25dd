"""`make coverage-fields`: the table of fields and tests; exit status 1 when a field has no test."""

import sys

from tests.fields.coverage import problems, proofs, spec_fields, table


def main() -> int:
    """Print the table, and what is wrong with it."""
    fields, proven = spec_fields(), proofs()
    print(table(fields, proven))
    wrong = problems(fields, proven)
    print(f"\n{len(fields)} fields, {len(fields) - sum(name not in proven for name in fields)} proven", file=sys.stderr)
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
