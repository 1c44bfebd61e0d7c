"""What do these bytes mean, and which bytes say this?

Owns the grammar of the edges: HTTP/1.1 heads and body framing (`http1`, `chunked`), server-sent events (`sse`), the
fields of a call that govern its price (`openai`), the few of them that we change (`rewrite`), the token counts of an
answer (`usage`). Knows no customer, no price, no socket; bytes come in as arguments and go out as values.

Invariants: whole = byte by byte = any split; bytes behind the end are never consumed; what is ambiguous between two
parsers is refused, never guessed; bytes that need not change are passed on unchanged.
Retry: every function is pure but for bounded memories of lines already parsed; a reader object serves one message.
"""
