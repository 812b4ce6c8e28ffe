// Package contract holds no code. Its tests start the real binary on SQLite
// and on PostgreSQL and ask it, over HTTP and with git, every row of the
// endpoint tables of Deis Workflow's REST API v2.3 (controller 2.18, and what
// Hephy added): status, body and headers. rows_test.go lists the rows; a row
// without a test fails, and the two counts are printed side by side.
package contract
