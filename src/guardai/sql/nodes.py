"""Which kinds of nodes of the parser's tree only compute, name or arrange.

Imports sqlglot, so it is imported at the first use and not before.
"""

from __future__ import annotations

from typing import Final

from sqlglot import exp

__all__ = ["LEAVES", "LOCKING_HINTS", "NOT_CALLED", "PLAIN"]

#: Kinds of nodes that compute, name or arrange, and do nothing else. Functions are judged by name, in calls.py.
PLAIN: Final = frozenset(
    getattr(exp, name)
    for name in """Add Adjacent Alias Aliases All Any AtIndex AtTimeZone Between BitString BitwiseAnd BitwiseLeftShift BitwiseNot
    BitwiseOr BitwiseRightShift BitwiseXor Boolean Bracket ByteString CTE CharacterSet Cluster Collate Column
    ColumnConstraint ColumnDef ColumnPrefix Comprehension Connect Cube DPipe DataType DataTypeParam
    DefaultColumnConstraint Distance DistanceNd Distinct Distribute Div Dot EQ Escape Except ExtendsLeft
    ExtendsRight Fetch Filter Final ForClause ForIn From FromTimeZone FormatJson GT GTE Glob Group GroupingSets
    Having HavingMax Heredoc HexString HistoricalData ILike Identifier IgnoreNulls IndexTableHint IntDiv
    Intersect Interval IntervalSpan Introducer Is JSON JSONColumnDef JSONExtractQuote JSONKeyValue JSONPath
    JSONPathFilter JSONPathKey JSONPathPart JSONPathRecursive JSONPathRoot JSONPathScript JSONPathSelector
    JSONPathSlice JSONPathSubscript JSONPathUnion JSONPathWildcard JSONSchema JSONValue Join Kwarg LT LTE Lambda
    Lateral Like Limit LimitOptions Literal Match MatchRecognize MatchRecognizeMeasure Mod Mul NEQ National Neg
    NestedJSONSelect Not NotNullColumnConstraint Null NullSafeEQ NullSafeNEQ ObjectIdentifier Offset OnCondition
    OnConflict Opclass OpenJSONColumnDef Operator Order Ordered OverflowTruncateBehavior Overlaps Parameter
    Paren Partition PathColumnConstraint Pivot PivotAlias PivotAny Placeholder PositionalColumn PreWhere Prior
    PropertyEQ PseudoType Pseudocolumn Qualify QueryOption RawString RecursiveWithSearch RespectNulls Returning
    Rollup Schema Select SessionParameter SimilarTo Slice Sort Star Sub Subquery Table TableAlias
    TableColumn TableFromRows TableSample TranslateCharacters Tuple UnicodeString Union UnpivotColumns Values
    Var Variadic Version When Whens Where Window WindowSpec With WithFill WithOperator WithinGroup
    XMLKeyValueOption XMLNamespace ConditionalInsert""".split()  # noqa: SIM905
    if hasattr(exp, name)
)
#: Nothing to be judged stands below these.
LEAVES: Final = frozenset({exp.Identifier, exp.Literal, exp.Null, exp.Boolean, exp.DataType, exp.Placeholder, exp.Var})
#: What looks like a call in the tree and is grammar.
NOT_CALLED: Final = frozenset({"row", "table", "values"})
#: Table hints of SQL Server that take a lock that others wait for.
LOCKING_HINTS: Final = frozenset({"updlock", "xlock", "tablock", "tablockx", "paglock"})
