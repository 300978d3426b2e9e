"""Which files show the same photograph or the same casting, found from their pixels."""

from __future__ import annotations

from casting_inspect.data.grouping.find import VERSION, Grouping, find_groups

__all__ = ["VERSION", "Grouping", "find_groups"]
