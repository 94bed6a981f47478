"""One Redis, two languages: the real Go asynq on one side, asyncq on the other.

`go/` is a small Go module: `drive` is Go's client, server, inspector and scheduler behind lines of JSON,
`mon` is asynqmon. They are built once from the module proxy that `go` is configured with and kept in
pytest's cache (`tests/support/golang.py`); a test talks to them through `driving.py`.
"""
