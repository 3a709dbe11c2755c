"""Many videos from one list: rows are checked first, rendered in any order, and never twice."""
