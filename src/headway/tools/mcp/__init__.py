"""Tools of other programs, over the Model Context Protocol, and tasks for other programs.

`servers` says where a server is, `connections` keeps it open, `calls` calls its tools as tasks, `answers` has what it says as
records, `found` makes tools of what it offers; `offering` is the other side, `headway mcp`. All need the extra `mcp`.
"""
