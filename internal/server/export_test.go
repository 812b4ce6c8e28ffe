package server

import (
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// Document is the OpenAPI document before it is written as text.
func Document() *huma.OpenAPI { return describe(table(), "test") }

// Row is a line of the table as the tests see it.
type Row struct {
	Method, Path string // as in the document
	Takes        any
	Status       int
}

// Rows are all lines of the table.
func Rows() []Row {
	var rows []Row
	for _, r := range table() {
		rows = append(rows, row(r))
	}
	return rows
}

func row(r route) Row {
	return Row{Method: r.method, Path: strings.ReplaceAll(r.path, "...}", "}"), Takes: r.takes, Status: r.status}
}

// RowOf finds the line a request falls on.
func RowOf(method, path string) (Row, bool) {
	if method == "HEAD" {
		method = "GET"
	}
	split, ok := segments(path)
	for _, r := range table() {
		if _, fits := r.match(split); ok && fits && r.method == method {
			return row(r), true
		}
	}
	return Row{}, false
}

// Recheck has the streams of a handler asked for their right so often.
func Recheck(handler http.Handler, every time.Duration) { handler.(*server).recheck = every }

// How much a user may hold open.
const (
	MaxCommands = maxCommands
	MaxFollows  = maxFollows
)
